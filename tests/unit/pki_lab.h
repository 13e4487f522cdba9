/*
 * pki_lab - authorities and certificates made in memory, good and bad.
 *
 * Fails the running test when something cannot be made.
 */
#ifndef TESTS_UNIT_PKI_LAB_H
#define TESTS_UNIT_PKI_LAB_H

#include "common/tls.h"

struct ssl_ctx_st;		/* OpenSSL's SSL_CTX */
struct pki_lab;

enum pki_issuer {
	PKI_CA,			/* the one that both sides trust */
	PKI_OTHER_CA,
	PKI_TWIN_CA,		/* another key under the trusted one's name */
	PKI_SELF,
};

enum pki_usage { PKI_FOR_NOTHING, PKI_FOR_AGENTS, PKI_FOR_CLIENTS, PKI_FOR_BOTH };

struct pki_spec {
	const char	*common_name;	/* NULL: a subject without one */
	const char	*san;		/* "DNS:sensor1,IP:127.0.0.1"; NULL: none */
	enum pki_issuer	 issuer;
	enum pki_usage	 usage;		/* extended key usage */
	int		 from_days, to_days;	/* from now; both 0: -1 to 30 */
	int		 common_name_len;	/* 0: strlen() */
};

/* What the two programs use: sensor1 at 127.0.0.1, and alice. */
extern const struct pki_spec pki_agent, pki_client;

struct pki_lab *pki_lab_new(void);
void pki_lab_free(struct pki_lab *lab);

/* A certificate with a new key and the trusted CA, as open memory files. */
void pki_lab_open(struct pki_lab *lab, const struct pki_spec *spec,
    struct tls_files *ret_files);
void pki_lab_close(struct tls_files *files);

/* The same loaded by tls_new(), which must like it. */
struct tls *pki_lab_tls(struct pki_lab *lab, enum tls_role role,
    const struct pki_spec *spec);

/*
 * A plain OpenSSL context that accepts every peer's certificate and carries
 * any own one, for a peer that tls_new() would not let exist; spec NULL: no
 * certificate.  Speaks TLS_ALPN.  Free it with pki_lab_ctx_free().
 */
struct ssl_ctx_st *pki_lab_ctx(struct pki_lab *lab, enum tls_role role,
    const struct pki_spec *spec);
void pki_lab_ctx_free(struct ssl_ctx_st *ctx);

#endif /* TESTS_UNIT_PKI_LAB_H */
