/*
 * ui_text - what people read on stderr: tcpdump's lines, one progress line.
 *
 * Knows numbers, not packets or connections.
 */
#ifndef CLIENT_UI_TEXT_H
#define CLIENT_UI_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct ui_text {
	FILE	*out;
	bool	 shows_progress;
	bool	 is_line_open;	/* a progress line is on the screen */
};

/* Where every packet went; of an interface, or sums over all. */
struct ui_summary {
	uint64_t captured;		/* written */
	uint64_t received;		/* by the filter, drops included */
	uint64_t dropped_kernel;
	uint64_t dropped_interface;
	uint64_t lost_buffer;		/* agent's buffer full: gaps */
	uint64_t lost_disconnected;	/* the same while no client was connected */
	uint64_t lost_interrupted;	/* nobody wanted to wait for them: gaps */
	uint64_t lost_agent;		/* in the agent otherwise */
	uint64_t lost_change;		/* at filter changes, not to be judged again */
	uint64_t lost_connection;	/* in batches that never came */
	uint64_t lost_output;		/* came, but could not be written */
	uint64_t lost_queue;		/* the same, noticed only afterwards */
	uint64_t lost_format;		/* came, but the file cannot hold them */
	uint64_t beyond_count;		/* came after -c was reached: no loss */
	uint64_t filtered;		/* came, rejected by the filter here: no loss */
	uint64_t cut;			/* written, shortened for the pipe */
	uint64_t freezes;		/* of kernel rings; shown with -v */
};

struct ui_progress {
	uint64_t packets, bytes;	/* written */
	uint64_t lost;			/* anywhere */
};

/* out is borrowed.  Progress is shown on a terminal, unless quiet. */
void ui_text_init(struct ui_text *ui, FILE *out, bool quiet);

/*
 * "capclient: listening on sensor1:eth0, link-type EN10MB (Ethernet),
 * snapshot length 261120 bytes"; once per interface.
 */
void ui_text_listening(struct ui_text *ui, const char *sensor,
    const char *iface, uint32_t link_type, uint32_t snaplen);

/* Draw the progress line anew; nothing when it is not shown. */
void ui_text_progress(struct ui_text *ui, const struct ui_progress *progress);

/* Wipe the progress line, before anything else is printed on the terminal. */
void ui_text_clear(struct ui_text *ui);

/* "capclient: TEXT", escaped. */
void ui_text_message(struct ui_text *ui, const char *text);

/* tcpdump's closing lines; further lines only for what is not zero. */
void ui_text_summary(struct ui_text *ui, const struct ui_summary *summary);

/*
 * The same in one line, "eth0: 10 packets captured, 12 packets received by
 * filter, 2 packets dropped by kernel"; prefix stands before it.  The name is
 * escaped.
 */
void ui_text_counts(struct ui_text *ui, const char *prefix, const char *name,
    const struct ui_summary *summary);

/* A line as it is, escaped. */
void ui_text_line(struct ui_text *ui, const char *text);

/*
 * Packets that were received by the filter or the NIC and are not in the file.
 * Sums stay at UINT64_MAX rather than wrap.
 */
uint64_t ui_summary_lost(const struct ui_summary *summary);

/* Packets of received whose place is known. */
uint64_t ui_summary_placed(const struct ui_summary *summary);

#endif /* CLIENT_UI_TEXT_H */
