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
		return EXIT_CONNECTION;
	case E_AGAIN:
	case E_NOMEM:
	case E_SYS:
	case E_BADMSG:
	case E_TOOBIG:
	case E_STATE:
	case E_GONE:
	case E_BUG:
		break;
	}
	return EXIT_FAILED;
}
