/*
 * tls - TLS 1.3 contexts from open descriptors, and who the peer is.
 *
 * OpenSSL stays behind this and conn.c.  Both sides always demand and check
 * a certificate: the agent's must be for servers, the client's for clients,
 * and each must say so (a certificate without extended key usage is refused,
 * so that a sensor's stolen key cannot capture elsewhere).
 *
 * tls.c loads contexts and makes sessions, tls_cause.c names what failed.
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <stddef.h>

#include "common/err.h"

struct ssl_st;			/* OpenSSL's SSL */
struct tls;			/* a context: certificate, key, CA */

enum tls_role { TLS_AGENT, TLS_CLIENT };

/* ALPN: the name carries the version of the wire format. */
#define TLS_ALPN "capture/1"

/* Three PEM files; the descriptors stay the caller's, names are for messages. */
struct tls_files {
	int		 cert_fd, key_fd, ca_fd;
	const char	*cert_name, *key_name, *ca_name;
};

/*
 * Load a context.  NULL and E_CONFIG: not readable as PEM, key and
 * certificate do not belong together, the certificate is not for this role
 * or has expired.
 */
struct tls *tls_new(enum tls_role role, const struct tls_files *files,
    struct err *err);
void tls_free(struct tls *tls);

/*
 * A new session; server_name (client only) is what the agent's certificate
 * must name, as a DNS name or an address.  NULL and E_NOMEM.  Free it with
 * tls_session_free().  The context may be freed first: the session keeps what
 * it was made with.
 */
struct ssl_st *tls_session_new(struct tls *tls, const char *server_name,
    struct err *err);
void tls_session_free(struct ssl_st *ssl);

/*
 * Name the cause of a failed OpenSSL call on ssl, in the same words on both
 * sides of a connection ("certificate has expired"), and empty OpenSSL's
 * error queue.  ssl_error is SSL_get_error()'s answer, sys the errno right
 * after the call.  Returns E_TLS, or E_PEERGONE when the connection broke.
 */
int tls_error(struct ssl_st *ssl, int ssl_error, int sys, struct err *err);

/* After the handshake: E_TLS unless both agreed on TLS_ALPN. */
int tls_check_alpn(const struct ssl_st *ssl, struct err *err) MUST_CHECK;

/*
 * The common name in the subject of the peer's verified certificate.
 * E_TLS when it has none, E_TOOBIG when it does not fit.
 */
int tls_peer_name(const struct ssl_st *ssl, char *dst, size_t size) MUST_CHECK;

#endif /* COMMON_TLS_H */
