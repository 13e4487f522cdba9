#include "client/list.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"
#include "common/log.h"

enum { ESCAPED_LEN = 4 * PROTO_MAX_NAME + 1 };

/* In the numbers of enum time_stamp_type; names and words are libpcap's. */
static const struct { const char *name, *description; } time_stamps[] = {
	{ "host", "Host" },
	{ "adapter", "Adapter" },
	{ "adapter_unsynced", "Adapter, not synced with system time" },
};

static void
print_escaped(FILE *out, const char *before, const char *text)
{
	char escaped[ESCAPED_LEN];

	if (text[0] == '\0')
		return;
	log_escape(escaped, sizeof(escaped), text);
	fprintf(out, "%s%s", before, escaped);
}

static void
print_name(FILE *out, const struct msg_interface *iface)
{
	print_escaped(out, "", iface->network_namespace);
	print_escaped(out, iface->network_namespace[0] != '\0' ? "/" : "", iface->name);
}

static int
finish(FILE *out, struct err *err)
{
	if (fflush(out) == 0 && !ferror(out))
		return E_OK;
	err_sys(err, "list of interfaces: write");
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}

/* --- -D --- */

static void
print_state(FILE *out, const struct msg_interface *iface)
{
	fprintf(out, " [%s", iface->is_up ? "Up" : "Down");
	if (iface->is_running)
		fputs(", Running", out);
	if (iface->is_loopback)
		fputs(", Loopback", out);
	fputs("]", out);
}

/* What it can: "; speed 1000 Mbit/s; driver e1000e; link types ...". */
static void
print_abilities(FILE *out, const struct msg_interface *iface)
{
	const char *before = "; time stamps ";
	char link[LINK_TYPE_TEXT_LEN];

	if (iface->speed_mbps > 0)
		fprintf(out, "; speed %" PRIu32 " Mbit/s", iface->speed_mbps);
	print_escaped(out, "; driver ", iface->driver);
	for (uint32_t i = 0; i < iface->n_link_types; i++) {
		link_type_name(iface->link_types[i], link, sizeof(link));
		fprintf(out, "%s%s", i == 0 ? "; link types " : ", ", link);
	}
	for (uint32_t i = 0; i < ARRAY_LEN(time_stamps); i++) {
		if ((iface->time_stamp_types & (1u << i)) == 0)
			continue;
		fprintf(out, "%s%s", before, time_stamps[i].name);
		before = ", ";
	}
}

static void
print_interface(FILE *out, const struct msg_interface *iface)
{
	char link[LINK_TYPE_TEXT_LEN];

	fprintf(out, "%" PRIu32 ".", iface->index);
	print_name(out, iface);
	print_state(out, iface);
	link_type_name(iface->link_type, link, sizeof(link));
	fprintf(out, " %s", link);
	for (uint32_t i = 0; i < iface->n_addresses; i++)
		print_escaped(out, " ", iface->addresses[i]);
	if (iface->description[0] != '\0') {
		print_escaped(out, " (", iface->description);
		fputs(")", out);
	}
	print_abilities(out, iface);
	print_escaped(out, " -- cannot be captured: ", iface->why_not);
	fputs("\n", out);
}

/* The agent's own namespace is "" and comes first. */
static int
compare(const void *a, const void *b)
{
	const struct msg_interface *x = *(const struct msg_interface *const *)a;
	const struct msg_interface *y = *(const struct msg_interface *const *)b;
	int rc = strcmp(x->network_namespace, y->network_namespace);

	if (rc == 0)
		rc = (x->index > y->index) - (x->index < y->index);
	return rc == 0 ? strcmp(x->name, y->name) : rc;
}

/* The caller frees the result; NULL when out of memory. */
static const struct msg_interface **
sort(const struct msg_interface_list *list)
{
	const struct msg_interface **sorted = calloc(list->n + 1, sizeof(*sorted));

	if (sorted == NULL)
		return NULL;
	for (uint32_t i = 0; i < list->n; i++)
		sorted[i] = &list->interfaces[i];
	qsort(sorted, list->n, sizeof(*sorted), compare);
	return sorted;
}

int
list_print(FILE *out, const struct msg_interface_list *list, struct err *err)
{
	const struct msg_interface **sorted = sort(list);

	if (sorted == NULL)
		return err_set(err, E_NOMEM, "list of interfaces: print: out of memory");
	for (uint32_t i = 0; i < list->n; i++)
		print_interface(out, sorted[i]);
	free(sorted);
	return finish(out, err);
}

/* --- -L and -J --- */

/* Does -i text mean this interface: its name, number, a pattern, any? */
static bool
is_meant(const char *text, const struct msg_interface *iface)
{
	size_t len = strlen(iface->network_namespace);
	char number[16];

	if (len > 0) {
		if (strncmp(text, iface->network_namespace, len) != 0 || text[len] != '/')
			return false;
		text += len + 1;
	}
	if (strcmp(text, iface->name) == 0 || strcmp(text, "any") == 0)
		return true;
	snprintf(number, sizeof(number), "%" PRIu32, iface->index);
	return strcmp(text, number) == 0 || fnmatch(text, iface->name, 0) == 0;
}

static void
print_link_types(FILE *out, const struct msg_interface *iface)
{
	char link[LINK_TYPE_TEXT_LEN];

	fputs("Data link types for ", out);
	print_name(out, iface);
	fputs(" (use option -y to set):\n", out);
	for (uint32_t i = 0; i < iface->n_link_types; i++) {
		link_type_text(iface->link_types[i], link, sizeof(link));
		fprintf(out, "  %s\n", link);
	}
}

static void
print_time_stamps(FILE *out, const struct msg_interface *iface)
{
	fputs("Time stamp types for ", out);
	print_name(out, iface);
	fputs(" (use option -j to set):\n", out);
	for (uint32_t i = 0; i < ARRAY_LEN(time_stamps); i++)
		if ((iface->time_stamp_types & (1u << i)) != 0)
			fprintf(out, "  %s (%s)\n", time_stamps[i].name,
			    time_stamps[i].description);
}

static int
print_meant(FILE *out, const struct msg_interface_list *list,
    const struct options *options, void (*print)(FILE *, const struct msg_interface *),
    struct err *err)
{
	for (uint32_t i = 0; i < options->n_interfaces; i++) {
		bool is_found = false;

		for (uint32_t j = 0; j < list->n; j++) {
			if (!is_meant(options->interfaces[i].name, &list->interfaces[j]))
				continue;
			is_found = true;
			print(out, &list->interfaces[j]);
		}
		if (!is_found)
			return err_set(err, E_NOIFACE, "interface '%.60s': not among those "
			    "of the sensor (capclient -D %.60s lists them)",
			    options->interfaces[i].name, options->sensor_text);
	}
	return finish(out, err);
}

int
list_print_link_types(FILE *out, const struct msg_interface_list *list,
    const struct options *options, struct err *err)
{
	return print_meant(out, list, options, print_link_types, err);
}

int
list_print_time_stamps(FILE *out, const struct msg_interface_list *list,
    const struct options *options, struct err *err)
{
	return print_meant(out, list, options, print_time_stamps, err);
}
