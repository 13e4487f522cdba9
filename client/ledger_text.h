/*
 * ledger_text - the ledger in the words that people read on stderr.
 */
#ifndef CLIENT_LEDGER_TEXT_H
#define CLIENT_LEDGER_TEXT_H

#include <stdbool.h>

#include "client/ledger.h"
#include "client/ui_text.h"

enum { LEDGER_TEXT_LEN = 192 };

/*
 * "nothing was captured from 12:00:01.2 to 12:00:03.9: the agent was
 * restarted"; with dates that are not now's.
 */
void ledger_text_hole(const struct ledger_hole *hole, struct wall_ns now,
    char dst[static LEDGER_TEXT_LEN]);

/* "the agent was restarted" */
const char *ledger_text_hole_reason(enum ledger_hole_reason reason);

/*
 * The closing lines: tcpdump's and what is not zero beside them; if there are
 * several interfaces, and if asked for or something was lost, a line for each
 * that had packets; a line for each hole.
 */
void ledger_text_closing(const struct ledger *l, struct ui_text *ui, bool is_verbose);

/* The state of a ledger that still counts, in messages: sum, interfaces, holes. */
void ledger_text_status(const struct ledger *l, struct ui_text *ui);

#endif /* CLIENT_LEDGER_TEXT_H */
