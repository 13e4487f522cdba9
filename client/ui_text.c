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

void
ui_text_line(struct ui_text *ui, const char *text)
{
	char escaped[ESCAPED_LEN];

	log_escape(escaped, sizeof(escaped), text);
	ui_text_clear(ui);
	fprintf(ui->out, "%s\n", escaped);
	fflush(ui->out);
}

/* --- counters --- */

enum { COUNTS_OF_TCPDUMP = 3 };		/* which always stand there */

static uint64_t
add_up(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Every count that is not zero; separator stands between them. */
static void
print_counts(FILE *out, const struct ui_summary *s, const char *separator)
{
	const struct { uint64_t n; const char *what; } counts[] = {
		{ s->captured, "captured" },
		{ s->received, "received by filter" },
		{ s->dropped_kernel, "dropped by kernel" },
		{ s->dropped_interface, "dropped by interface" },
		{ s->lost_buffer, "lost in the agent (its buffer was full)" },
		{ s->lost_disconnected, "lost in the agent (its buffer was full while "
		    "disconnected)" },
		{ s->lost_interrupted, "left in the agent (interrupted again)" },
		{ s->lost_agent, "lost in the agent (other reasons)" },
		{ s->lost_change, "lost at a filter change" },
		{ s->lost_connection, "lost with the connection" },
		{ add_up(s->lost_output, s->lost_queue),
		    "received but not written (output failed)" },
		{ s->lost_format, "not written (the file cannot hold their link type)" },
		{ s->filtered, "filtered by client" },
		{ s->beyond_count, "not written (arrived after the end)" },
		{ s->cut, "shortened to fit the reader of the pipe" },
	};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		if (i < COUNTS_OF_TCPDUMP || counts[i].n > 0)
			fprintf(out, "%s%" PRIu64 " packet%s %s", i > 0 ? separator : "",
			    counts[i].n, counts[i].n == 1 ? "" : "s", counts[i].what);
	if (s->freezes > 0)
		fprintf(out, "%s%" PRIu64 " freeze%s of the kernel's ring", separator,
		    s->freezes, s->freezes == 1 ? "" : "s");
	fputc('\n', out);
}

void
ui_text_summary(struct ui_text *ui, const struct ui_summary *s)
{
	ui_text_clear(ui);
	print_counts(ui->out, s, "\n");
	fflush(ui->out);
}

void
ui_text_counts(struct ui_text *ui, const char *prefix, const char *name,
    const struct ui_summary *s)
{
	char escaped[ESCAPED_LEN];

	log_escape(escaped, sizeof(escaped), name);
	ui_text_clear(ui);
	fprintf(ui->out, "%s%s: ", prefix, escaped);
	print_counts(ui->out, s, ", ");
	fflush(ui->out);
}

uint64_t
ui_summary_lost(const struct ui_summary *s)
{
	const uint64_t losses[] = {
		s->dropped_kernel, s->dropped_interface, s->lost_buffer,
		s->lost_disconnected, s->lost_interrupted, s->lost_agent, s->lost_change,
		s->lost_connection, s->lost_output, s->lost_queue, s->lost_format,
	};
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(losses); i++)
		sum = add_up(sum, losses[i]);
	return sum;
}

uint64_t
ui_summary_placed(const struct ui_summary *s)
{
	struct ui_summary received = *s;
	uint64_t sum = add_up(s->captured, add_up(s->filtered, s->beyond_count));

	/* These never came to the filter. */
	received.dropped_interface = 0;
	return add_up(sum, ui_summary_lost(&received));
}
