#include "client/options_int.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/limits.h"

/* Over this, somebody has mistaken the unit. */
#define BUFFER_MAX (UINT64_C(1) << 40)

/* Digits only: strtoull alone takes signs, blanks and what follows. */
static bool
parse_u64(const char *text, const char **ret_rest, uint64_t *ret_value)
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

int
options_value_interface(const char *text, struct err *err)
{
	if (text[0] == '\0' || strlen(text) > PROTO_MAX_NAME)
		return err_set(err, E_USAGE, "-i '%.60s': not the name of an "
		    "interface (capclient -D SENSOR lists them)", text);
	if (strcmp(text, "any") == 0)
		return err_set(err, E_USAGE,
		    "-i 'any': not there yet: repeat -i for each interface");
	/* A strange name that the kernel allows can be given as its number. */
	if (strchr(text, ',') != NULL)
		return err_set(err, E_USAGE,
		    "-i '%.60s': no lists: repeat -i for each interface", text);
	if (strpbrk(text, "*?[") != NULL)
		return err_set(err, E_USAGE, "-i '%.60s': no patterns yet: repeat "
		    "-i for each interface", text);
	return E_OK;
}

int
options_value_count(const char *text, uint64_t *ret_count, struct err *err)
{
	const char *rest;
	uint64_t value;

	if (!parse_u64(text, &rest, &value) || *rest != '\0' || value == 0)
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

	if (!parse_u64(text, &rest, &value) || *rest != '\0' ||
	    value > PROTO_MAX_SNAPLEN)
		return err_set(err, E_USAGE,
		    "-s '%.60s': a number of bytes from 1 to %d is needed (0: %d)",
		    text, PROTO_MAX_SNAPLEN, PROTO_MAX_SNAPLEN);
	*ret_snaplen = value == 0 ? PROTO_MAX_SNAPLEN : (uint32_t)value;
	return E_OK;
}

int
options_value_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	static const char suffixes[] = "KMG";
	unsigned shift = 10;
	const char *rest, *suffix;
	uint64_t value;

	if (!parse_u64(text, &rest, &value))
		goto refuse;
	if (*rest != '\0') {
		suffix = strchr(suffixes, toupper((unsigned char)*rest));
		if (suffix == NULL ||
		    (rest[1] != '\0' && strcasecmp(rest + 1, "iB") != 0))
			goto refuse;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (value == 0 || value > BUFFER_MAX >> shift)
		goto refuse;
	*ret_bytes = value << shift;
	return E_OK;
refuse:
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
options_value_sample(const char *name, const char *text, uint32_t *ret_n,
    struct err *err)
{
	const char *rest;
	uint64_t value;

	if (strncmp(text, "1/", 2) != 0 || !parse_u64(text + 2, &rest, &value) ||
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

int
options_filter_join(const char *const words[], size_t n, char **ret_text,
    struct err *err)
{
	size_t size = 1;
	char *text, *p;

	for (size_t i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	if (size > PROTO_MAX_FILTER_TEXT)
		return err_set(err, E_USAGE, "filter: longer than %d bytes",
		    PROTO_MAX_FILTER_TEXT);
	text = p = malloc(size);
	if (text == NULL)
		return err_set(err, E_NOMEM, "filter: out of memory");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ' ';
		p = stpcpy(p, words[i]);
	}
	*p = '\0';
	*ret_text = text;
	return E_OK;
}
