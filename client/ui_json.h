/*
 * ui_json - the ledger for programs: one JSON object a line.
 *
 * docs/ledger.schema.json says what is in it.
 */
#ifndef CLIENT_UI_JSON_H
#define CLIENT_UI_JSON_H

#include "client/exit.h"
#include "client/ledger.h"

enum ui_json_event {
	UI_JSON_STATS,		/* while the capture runs */
	UI_JSON_ENDED,		/* the last line */
};

/* What the ledger does not know; all strings are borrowed. */
struct ui_json_about {
	enum ui_json_event event;
	struct wall_ns	 time;
	const char	*sensor;	/* "sensor1" */
	const char	*output;	/* path, "-" */
	const char	*state;		/* "running", "reconnecting", "ended" */
	enum exit_status exit_status;	/* with UI_JSON_ENDED only */
};

/*
 * Write a line about the ledger to descriptor fd, by one system call unless
 * less is taken, so that lines of others do not fall into it.  Nothing else may
 * be held back in a buffer for fd.  E_NOMEM, E_SYS.
 */
int ui_json_ledger(int fd, const struct ledger *l, const struct ui_json_about *about,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_UI_JSON_H */
