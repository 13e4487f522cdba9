/*
 * certs - find and open the client's certificate, key and CA files.
 *
 * Knows paths and permissions, nothing of what is inside: see tls.h.
 */
#ifndef CLIENT_CERTS_H
#define CLIENT_CERTS_H

#include <stddef.h>

#include "common/err.h"

enum { CERTS_CERT, CERTS_KEY, CERTS_CA };
enum { CERTS_N = CERTS_CA + 1 };

struct certs {
	char	*path[CERTS_N];	/* for messages */
	int	 fd[CERTS_N];
};

/*
 * Open the three files.  Each is, in this order: the path given (not NULL),
 * the environment's CAPCLIENT_CERT, CAPCLIENT_KEY or CAPCLIENT_CA (not
 * empty), client.pem, client.key or ca.pem in ~/.config/capclient.
 *
 * E_CONFIG  a file is missing (says the command that makes it) or not
 *           readable, or the key is ours and others may read it
 * E_NOMEM
 *
 * On E_OK release with certs_close().
 */
int certs_open(const char *cert, const char *key, const char *ca,
    struct certs *ret_certs, struct err *err) MUST_CHECK;

/* Close the descriptors and free the paths. */
void certs_close(struct certs *certs);

#endif /* CLIENT_CERTS_H */
