/*
 * exit - the exit statuses of capclient, documented in capclient(1).
 *
 * Scripts depend on them: a number is never given another meaning.
 */
#ifndef CLIENT_EXIT_H
#define CLIENT_EXIT_H

enum exit_status {
	EXIT_COMPLETE = 0,	/* ended as asked, nothing lost */
	EXIT_FAILED = 1,	/* anything without a status of its own */
	EXIT_USAGE = 2,		/* command line */
	EXIT_UNREACHABLE = 3,	/* no name, no route, port closed, no answer */
	EXIT_REFUSED = 4,	/* certificates, TLS, policy, budget, version */
	EXIT_INTERFACE = 5,	/* none of that name, or it is down */
	EXIT_FILTER = 6,	/* not a filter, or refused by the agent */
	EXIT_OUTPUT = 7,	/* disk full, file cannot be written */
	EXIT_INCOMPLETE = 8,	/* ended as asked, but packets were lost: counted */
	EXIT_CONNECTION = 9,	/* lost before the end */
	EXIT_LEDGER = 10,	/* the counters do not add up */
	EXIT_HOLE = 11,		/* they do, but there are times when nobody captured */
	EXIT_INTERRUPTED = 130,	/* interrupted twice: not drained */
};

/*
 * The status for an enum err_code.  E_TIMEOUT is taken for a sensor that did
 * not answer; a connection that falls silent later is E_PEERGONE.  E_GONE is a
 * connection that cannot be resumed: it is lost before the end.
 */
enum exit_status exit_status_of(int err_code);

/*
 * One status for two things that happened, the one that was first in front:
 * EXIT_LEDGER says more than EXIT_INTERRUPTED, that more than any failure; of
 * two failures the first counts.  EXIT_HOLE, EXIT_INCOMPLETE and EXIT_COMPLETE
 * follow.
 */
enum exit_status exit_status_join(enum exit_status first, enum exit_status later);

#endif /* CLIENT_EXIT_H */
