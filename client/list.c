#include "client/list.h"

#include <inttypes.h>

#include "common/link_type.h"
#include "common/log.h"

enum { ESCAPED_LEN = 4 * PROTO_MAX_NAME + 1 };

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
print_state(FILE *out, const struct msg_interface *iface)
{
	fprintf(out, " [%s", iface->is_up ? "Up" : "Down");
	if (iface->is_running)
		fputs(", Running", out);
	if (iface->is_loopback)
		fputs(", Loopback", out);
	fputs("]", out);
}

static void
print_interface(FILE *out, const struct msg_interface *iface)
{
	char link[LINK_TYPE_TEXT_LEN];

	fprintf(out, "%" PRIu32 ".", iface->index);
	print_escaped(out, "", iface->name);
	print_state(out, iface);
	link_type_name(iface->link_type, link, sizeof(link));
	fprintf(out, " %s", link);
	for (uint32_t i = 0; i < iface->n_addresses; i++)
		print_escaped(out, " ", iface->addresses[i]);
	if (iface->description[0] != '\0') {
		print_escaped(out, " (", iface->description);
		fputs(")", out);
	}
	print_escaped(out, " -- cannot be captured: ", iface->why_not);
	fputs("\n", out);
}

int
list_print(FILE *out, const struct msg_interface_list *list, struct err *err)
{
	for (uint32_t i = 0; i < list->n; i++)
		print_interface(out, &list->interfaces[i]);
	if (fflush(out) == 0 && !ferror(out))
		return E_OK;
	err_sys(err, "list of interfaces: write");
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}
