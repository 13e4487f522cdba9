/*
 * tls - TLS 1.3 contexts from open descriptors, and who the peer is.
 *
 * OpenSSL stays behind this and conn.c.  Both sides always demand and check
 * a certificate: the agent's must be for servers, the client's for clients.
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct tls;			/* a context: certificate, key, CA */

enum tls_role { TLS_AGENT, TLS_CLIENT };

/* The protocol's name in ALPN: its version is the wire format's. */
#define TLS_ALPN "capture/1"

/*
 * Load certificate, key and CA (PEM) from descriptors, which stay the
 * caller's.  The names are for messages only.
 *
 * E_CONFIG  not readable as PEM, key and certificate do not belong together,
 *           certificate is not for this role, or it has expired
 */
struct tls *tls_new(enum tls_role role, int cert_fd, int key_fd, int ca_fd,
    const char *cert_name, const char *key_name, const char *ca_name,
    struct err *err);
void tls_free(struct tls *tls);

struct ssl_st *tls_session_new(struct tls *tls, const char *server_name,
    struct err *err);

/*
 * Why the last OpenSSL call on ssl failed, as one cause for people
 * ("certificate has expired", "the peer refused our certificate: unknown
 * CA").  Empties OpenSSL's error queue.  saved_errno is errno right after
 * that call.
 */
int tls_error(struct ssl_st *ssl, int ssl_ret, int saved_errno, struct err *err);

/* The subject's common name of the peer's verified certificate. */
int tls_peer_name(struct ssl_st *ssl, char *dst, size_t size) MUST_CHECK;

#endif /* COMMON_TLS_H */
