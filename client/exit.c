#include "client/exit.h"

#include "common/err.h"

enum exit_status
exit_status_of(int err_code)
{
	switch ((enum err_code)err_code) {
	case E_OK:
		return EXIT_COMPLETE;
	case E_USAGE:
		return EXIT_USAGE;
	case E_UNREACHABLE:
	case E_TIMEOUT:
		return EXIT_UNREACHABLE;
	case E_TLS:
	case E_CONFIG:
	case E_DENIED:
	case E_LIMIT:
	case E_VERSION:
		return EXIT_REFUSED;
	case E_NOIFACE:
	case E_IFDOWN:
		return EXIT_INTERFACE;
	case E_FILTER:
		return EXIT_FILTER;
	case E_OUTPUT:
	case E_NOSPACE:
		return EXIT_OUTPUT;
	case E_PEERGONE:
	case E_EOF:
	case E_GONE:
		return EXIT_CONNECTION;
	case E_AGAIN:
	case E_NOMEM:
	case E_SYS:
	case E_BADMSG:
	case E_TOOBIG:
	case E_STATE:
	case E_BUG:
		break;
	}
	return EXIT_FAILED;
}

/* What says more is higher. */
static int
weight(enum exit_status status)
{
	switch (status) {
	case EXIT_COMPLETE:
		return 0;
	case EXIT_INCOMPLETE:
		return 1;
	case EXIT_HOLE:
		return 2;
	case EXIT_FAILED:
	case EXIT_USAGE:
	case EXIT_UNREACHABLE:
	case EXIT_REFUSED:
	case EXIT_INTERFACE:
	case EXIT_FILTER:
	case EXIT_OUTPUT:
	case EXIT_CONNECTION:
		return 3;
	case EXIT_INTERRUPTED:
		return 4;
	case EXIT_LEDGER:
		return 5;
	}
	return 3;
}

enum exit_status
exit_status_join(enum exit_status first, enum exit_status later)
{
	return weight(later) > weight(first) ? later : first;
}
