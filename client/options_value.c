#include "client/options_int.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/link_type.h"
#include "proto/limits.h"

/* Over this, somebody has mistaken the unit. */
#define BUFFER_MAX (UINT64_C(1) << 40)

enum { PID_LARGEST = 1 << 22 };	/* the kernel's PID_MAX_LIMIT */

/* strtoull alone takes signs, blanks and what follows. */
bool
options_value_u64(const char *text, const char **ret_rest, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0)
		return false;
	*ret_rest = end;
	*ret_value = value;
	return true;
}

/* "netns:blue/" and "pid:77/" in front of a name: *ret_name is what follows. */
static int
parse_namespace(const char *text, const char **ret_name, struct err *err)
{
	static const char named[] = "netns:", of_process[] = "pid:";
	bool is_named = strncmp(text, named, strlen(named)) == 0;
	bool is_pid = strncmp(text, of_process, strlen(of_process)) == 0;
	const char *name, *end;
	uint64_t pid;

	*ret_name = text;
	if (!is_named && !is_pid)
		return E_OK;
	name = strchr(text, ':') + 1;
	end = strchr(name, '/');
	if (end == NULL)
		return err_set(err, E_USAGE, "-i '%.60s': which interface there? "
		    "-i %.60s/eth0, or -i %.60s/any for all", text, text, text);
	if (is_named && (end == name || strcspn(name, "*?[") < (size_t)(end - name)))
		return err_set(err, E_USAGE, "-i '%.60s': the name of one namespace is "
		    "needed: netns:NAME/IFACE", text);
	if (is_pid && (!options_value_u64(name, &name, &pid) || name != end || pid == 0 ||
	    pid > PID_LARGEST))
		return err_set(err, E_USAGE, "-i '%.60s': the number of a process is "
		    "needed: pid:NUMBER/IFACE", text);
	*ret_name = end + 1;
	return E_OK;
}

int
options_value_interface(const char *text, struct err *err)
{
	const char *name;
	int code = parse_namespace(text, &name, err);

	if (code != E_OK)
		return code;
	if (name[0] == '\0' || strlen(text) > PROTO_MAX_NAME || strchr(name, '/') != NULL)
		return err_set(err, E_USAGE, "-i '%.60s': not the name of an "
		    "interface (capclient -D SENSOR lists them)", text);
	/* A strange name that the kernel allows can be given as its number. */
	if (strchr(name, ',') != NULL)
		return err_set(err, E_USAGE,
		    "-i '%.60s': no lists: repeat -i for each interface", text);
	return E_OK;
}

int
options_value_count(const char *text, uint64_t *ret_count, struct err *err)
{
	const char *rest;
	uint64_t value;

	if (!options_value_u64(text, &rest, &value) || *rest != '\0' || value == 0)
		return err_set(err, E_USAGE,
		    "-c '%.60s': a number of packets from 1 on is needed", text);
	*ret_count = value;
	return E_OK;
}

int
options_value_snaplen(const char *text, uint32_t *ret_snaplen, struct err *err)
{
	const char *rest;
	uint64_t value;

	if (!options_value_u64(text, &rest, &value) || *rest != '\0' ||
	    value > PROTO_MAX_SNAPLEN)
		return err_set(err, E_USAGE,
		    "-s '%.60s': a number of bytes from 1 to %d is needed (0: %d)",
		    text, PROTO_MAX_SNAPLEN, PROTO_MAX_SNAPLEN);
	*ret_snaplen = value == 0 ? PROTO_MAX_SNAPLEN : (uint32_t)value;
	return E_OK;
}

bool
options_value_bytes(const char *text, unsigned shift, uint64_t *ret_bytes)
{
	static const char suffixes[] = "KMG";
	const char *rest, *suffix;
	uint64_t value;

	if (!options_value_u64(text, &rest, &value))
		return false;
	if (*rest != '\0') {
		suffix = strchr(suffixes, toupper((unsigned char)*rest));
		if (suffix == NULL ||
		    (rest[1] != '\0' && strcasecmp(rest + 1, "iB") != 0))
			return false;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (value == 0 || value > BUFFER_MAX >> shift)
		return false;
	*ret_bytes = value << shift;
	return true;
}

int
options_value_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	if (options_value_bytes(text, 10, ret_bytes))
		return E_OK;
	return err_set(err, E_USAGE, "-B '%.60s': a size from 1K to 1024G is "
	    "needed: a number with K, M or G (or KiB, MiB, GiB), without "
	    "one in KiB", text);
}

int
options_value_direction(const char *text, enum options_direction *ret_direction,
    struct err *err)
{
	static const char *const names[] = { "inout", "in", "out" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_direction = (enum options_direction)i;
			return E_OK;
		}
	return err_set(err, E_USAGE, "-Q '%.60s': in, out or inout is needed", text);
}

int
options_value_link_type(const char *text, uint32_t *ret_link_type, struct err *err)
{
	uint32_t value;

	/* 0 means "the default" on the wire; no interface of Linux has that type. */
	if (!link_type_from_name(text, &value) || value == 0)
		return err_set(err, E_USAGE, "-y '%.60s': not a link type: EN10MB, "
		    "LINUX_SLL2 ... (capclient SENSOR -i IFACE -L lists those of an "
		    "interface)", text);
	*ret_link_type = value;
	return E_OK;
}

int
options_value_time_stamp(const char *text, enum time_stamp_type *ret_type,
    struct err *err)
{
	static const struct { const char *name; enum time_stamp_type type; } names[] = {
		{ "host", TIME_STAMP_HOST },
		{ "adapter", TIME_STAMP_ADAPTER },
		{ "adapter_unsynced", TIME_STAMP_ADAPTER_UNSYNCED },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i].name) == 0) {
			*ret_type = names[i].type;
			return E_OK;
		}
	return err_set(err, E_USAGE, "-j '%.60s': host, adapter or adapter_unsynced is "
	    "needed (capclient SENSOR -i IFACE -J lists those of an interface)", text);
}

int
options_value_sample(const char *name, const char *text, uint32_t *ret_n,
    struct err *err)
{
	const char *rest;
	uint64_t value;

	if (strncmp(text, "1/", 2) != 0 || !options_value_u64(text + 2, &rest, &value) ||
	    *rest != '\0' || value == 0 || value > PROTO_MAX_SAMPLE)
		return err_set(err, E_USAGE, "%s '%.60s': 1/N is needed, N from 1 to "
		    "%d", name, text, PROTO_MAX_SAMPLE);
	*ret_n = (uint32_t)value;
	return E_OK;
}

int
options_value_format(const char *text, enum options_format *ret_format,
    struct err *err)
{
	if (strcmp(text, "pcapng") == 0)
		*ret_format = OPTIONS_PCAPNG;
	else if (strcmp(text, "pcap") == 0)
		*ret_format = OPTIONS_PCAP;
	else
		return err_set(err, E_USAGE, "-F '%.60s': not a file format: pcapng "
		    "or pcap is needed; --filter-file FILE reads a filter", text);
	return E_OK;
}

enum options_format
options_format_of(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot != NULL && strcasecmp(dot, ".pcap") == 0 ? OPTIONS_PCAP :
	    OPTIONS_PCAPNG;
}
