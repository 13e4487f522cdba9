#include "client/ui_text.h"

#include <inttypes.h>
#include <unistd.h>

#include "common/link_type.h"
#include "common/log.h"
#include "proto/limits.h"

enum { ESCAPED_LEN = 4 * PROTO_MAX_TEXT };	/* every byte as \xHH */

void
ui_text_init(struct ui_text *ui, FILE *out, bool quiet)
{
	*ui = (struct ui_text){
		.out = out,
		.shows_progress = !quiet && isatty(fileno(out)),
	};
}

void
ui_text_listening(struct ui_text *ui, const char *sensor, const char *iface,
    uint32_t link_type, uint32_t snaplen)
{
	char link[LINK_TYPE_TEXT_LEN], name[ESCAPED_LEN];

	log_escape(name, sizeof(name), iface);
	link_type_text(link_type, link, sizeof(link));
	ui_text_clear(ui);
	fprintf(ui->out, "capclient: listening on %s:%s, link-type %s, "
	    "snapshot length %u bytes\n", sensor, name, link, snaplen);
	fflush(ui->out);
}

/* "12.3 MB": decimal units, as disks are sold. */
static void
print_size(FILE *out, uint64_t bytes)
{
	static const char units[] = "kMGTPE";
	double size = (double)bytes;
	int unit = -1;

	while (size >= 999.95 && units[unit + 1] != '\0') {
		size /= 1000;
		unit++;
	}
	if (unit < 0)
		fprintf(out, "%" PRIu64 " B", bytes);
	else
		fprintf(out, "%.1f %cB", size, units[unit]);
}

void
ui_text_progress(struct ui_text *ui, const struct ui_progress *progress)
{
	if (!ui->shows_progress)
		return;
	fprintf(ui->out, "\r\033[K%" PRIu64 " packet%s, ", progress->packets,
	    progress->packets == 1 ? "" : "s");
	print_size(ui->out, progress->bytes);
	fprintf(ui->out, " written, %" PRIu64 " lost", progress->lost);
	fflush(ui->out);
	ui->is_line_open = true;
}

void
ui_text_clear(struct ui_text *ui)
{
	if (!ui->is_line_open)
		return;
	fputs("\r\033[K", ui->out);
	fflush(ui->out);
	ui->is_line_open = false;
}

void
ui_text_message(struct ui_text *ui, const char *text)
{
	char escaped[ESCAPED_LEN];

	log_escape(escaped, sizeof(escaped), text);
	ui_text_clear(ui);
	fprintf(ui->out, "capclient: %s\n", escaped);
	fflush(ui->out);
}

static void
print_count(FILE *out, uint64_t n, const char *what)
{
	fprintf(out, "%" PRIu64 " packet%s %s\n", n, n == 1 ? "" : "s", what);
}

void
ui_text_summary(struct ui_text *ui, const struct ui_summary *s)
{
	const struct { uint64_t n; const char *what; } further[] = {
		{ s->dropped_interface, "dropped by interface" },
		{ s->lost_buffer, "lost in the agent (its buffer was full)" },
		{ s->lost_agent, "lost in the agent (other reasons)" },
		{ s->lost_change, "lost at a filter change" },
		{ s->lost_connection, "lost with the connection" },
		{ s->lost_output, "received but not written (output failed)" },
		{ s->lost_format, "not written (the file cannot hold their link type)" },
		{ s->filtered, "filtered by client" },
		{ s->beyond_count, "not written (arrived after the end)" },
		{ s->cut, "shortened to fit the reader of the pipe" },
	};

	ui_text_clear(ui);
	print_count(ui->out, s->captured, "captured");
	print_count(ui->out, s->received, "received by filter");
	print_count(ui->out, s->dropped_kernel, "dropped by kernel");
	for (size_t i = 0; i < ARRAY_LEN(further); i++)
		if (further[i].n > 0)
			print_count(ui->out, further[i].n, further[i].what);
	if (s->freezes > 0)
		fprintf(ui->out, "%" PRIu64 " freeze%s of the kernel's ring\n",
		    s->freezes, s->freezes == 1 ? "" : "s");
	fflush(ui->out);
}

uint64_t
ui_summary_lost(const struct ui_summary *s)
{
	return s->dropped_kernel + s->dropped_interface + s->lost_buffer +
	    s->lost_agent + s->lost_change + s->lost_connection + s->lost_output +
	    s->lost_format;
}
