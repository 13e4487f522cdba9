#include "common/tls.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls {
	enum tls_role	 role;
	SSL_CTX		*ctx;
};

enum { PEM_MAX_LEN = 1 << 20 };	/* a chain and a large bundle of CAs fit */

static const unsigned char alpn_wire[] = "\x09" TLS_ALPN;

/* The file behind fd as a memory BIO over *ret_buf, which the caller frees. */
static BIO *
read_pem(int fd, const char *name, char **ret_buf, struct err *err)
{
	char *buf = malloc(PEM_MAX_LEN);
	size_t used = 0;
	ssize_t n;
	BIO *bio;

	if (buf == NULL) {
		err_set(err, E_NOMEM, "%s: read: out of memory", name);
		return NULL;
	}
	/* pread: the same descriptor may be read again after a reload. */
	while ((n = pread(fd, buf + used, PEM_MAX_LEN - used, (off_t)used)) > 0)
		used += (size_t)n;
	if (n < 0) {
		err_sys(err, "%s: read", name);
		err->code = E_CONFIG;
		free(buf);
		return NULL;
	}
	bio = BIO_new_mem_buf(buf, (int)used);
	if (bio == NULL) {
		err_set(err, E_NOMEM, "%s: read: out of memory", name);
		free(buf);
		return NULL;
	}
	*ret_buf = buf;
	return bio;
}

/* Key material must not stay behind in freed memory. */
static void
free_pem(BIO *bio, char *buf)
{
	BIO_free(bio);
	OPENSSL_cleanse(buf, PEM_MAX_LEN);
	free(buf);
}

static bool
is_for_role(X509 *cert, enum tls_role role)
{
	uint32_t want = role == TLS_AGENT ? XKU_SSL_SERVER : XKU_SSL_CLIENT;

	return (X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) != 0 &&
	    (X509_get_extended_key_usage(cert) & want) != 0;
}

static int
check_own_cert(X509 *cert, enum tls_role role, const char *name, struct err *err)
{
	if (!is_for_role(cert, role))
		return err_set(err, E_CONFIG, "%s: certificate is not for %s: "
		    "make one with capcert %s", name,
		    role == TLS_AGENT ? "an agent" : "a client",
		    role == TLS_AGENT ? "agent" : "client");
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
		return err_set(err, E_CONFIG, "%s: certificate has expired: "
		    "make a new one with capcert", name);
	return E_OK;
}

static int
load_cert(struct tls *tls, const struct tls_files *files, struct err *err)
{
	char *buf;
	BIO *bio = read_pem(files->cert_fd, files->cert_name, &buf, err);
	X509 *cert, *extra;
	int rc;

	if (bio == NULL)
		return err->code;
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (cert == NULL) {
		free_pem(bio, buf);
		return err_set(err, E_CONFIG, "%s: read: holds no certificate in "
		    "PEM form", files->cert_name);
	}
	rc = check_own_cert(cert, tls->role, files->cert_name, err);
	if (rc == E_OK && SSL_CTX_use_certificate(tls->ctx, cert) != 1)
		rc = err_set(err, E_CONFIG, "%s: load: OpenSSL refuses the "
		    "certificate", files->cert_name);
	X509_free(cert);
	while (rc == E_OK &&
	    (extra = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(tls->ctx, extra) != 1) {
			X509_free(extra);
			rc = err_set(err, E_NOMEM, "%s: load: out of memory",
			    files->cert_name);
		}
	free_pem(bio, buf);
	return rc;
}

/* There is no terminal to ask at: an encrypted key is an error. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static int
load_key(struct tls *tls, const struct tls_files *files, struct err *err)
{
	char *buf;
	BIO *bio = read_pem(files->key_fd, files->key_name, &buf, err);
	EVP_PKEY *key;
	int rc = E_OK;

	if (bio == NULL)
		return err->code;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	free_pem(bio, buf);
	if (key == NULL)
		return err_set(err, E_CONFIG, "%s: read: holds no private key in "
		    "PEM form without passphrase", files->key_name);
	if (SSL_CTX_use_PrivateKey(tls->ctx, key) != 1 ||
	    SSL_CTX_check_private_key(tls->ctx) != 1)
		rc = err_set(err, E_CONFIG, "%s: load: does not belong to the "
		    "certificate %s", files->key_name, files->cert_name);
	EVP_PKEY_free(key);
	return rc;
}

static int
load_ca(struct tls *tls, const struct tls_files *files, struct err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls->ctx);
	char *buf;
	BIO *bio = read_pem(files->ca_fd, files->ca_name, &buf, err);
	X509 *cert;
	int n = 0;

	if (bio == NULL)
		return err->code;
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	free_pem(bio, buf);
	if (n == 0)
		return err_set(err, E_CONFIG, "%s: read: holds no certificate in "
		    "PEM form", files->ca_name);
	return E_OK;
}

/* OpenSSL lets a certificate without extended key usage pass; we do not. */
static int
verify_peer(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	enum tls_role peer = SSL_is_server(ssl) ? TLS_CLIENT : TLS_AGENT;

	if (ok == 1 && X509_STORE_CTX_get_error_depth(store) == 0 &&
	    !is_for_role(X509_STORE_CTX_get_current_cert(store), peer)) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_INVALID_PURPOSE);
		return 0;
	}
	return ok;
}

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, alpn_wire,
	    sizeof(alpn_wire) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int
configure(struct tls *tls, struct err *err)
{
	int mode = SSL_VERIFY_PEER;

	if (tls->role == TLS_AGENT)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(tls->ctx, mode, verify_peer);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* A resumed session would skip the check of the certificate. */
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(tls->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(tls->ctx, 0) != 1 ||
	    SSL_CTX_set_alpn_protos(tls->ctx, alpn_wire,
	    sizeof(alpn_wire) - 1) != 0)
		return err_set(err, E_CONFIG, "TLS: set up: OpenSSL refuses TLS 1.3");
	if (tls->role == TLS_AGENT)
		SSL_CTX_set_alpn_select_cb(tls->ctx, select_alpn, NULL);
	return E_OK;
}

struct tls *
tls_new(enum tls_role role, const struct tls_files *files, struct err *err)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	struct err local;

	if (err == NULL)
		err = &local;
	if (tls == NULL) {
		err_set(err, E_NOMEM, "TLS: set up: out of memory");
		return NULL;
	}
	tls->role = role;
	tls->ctx = SSL_CTX_new(role == TLS_AGENT ? TLS_server_method() :
	    TLS_client_method());
	if (tls->ctx == NULL) {
		err_set(err, E_NOMEM, "TLS: set up: out of memory");
		goto out;
	}
	if (configure(tls, err) != E_OK || load_cert(tls, files, err) != E_OK ||
	    load_key(tls, files, err) != E_OK || load_ca(tls, files, err) != E_OK)
		goto out;
	ERR_clear_error();
	return tls;
out:
	ERR_clear_error();
	tls_free(tls);
	return NULL;
}

void
tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
}

static bool
is_address(const char *name)
{
	unsigned char buf[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, buf) == 1 ||
	    inet_pton(AF_INET6, name, buf) == 1;
}

struct ssl_st *
tls_session_new(struct tls *tls, const char *server_name, struct err *err)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl == NULL)
		goto out;
	if (tls->role == TLS_AGENT) {
		SSL_set_accept_state(ssl);
		return ssl;
	}
	SSL_set_connect_state(ssl);
	if (SSL_set1_host(ssl, server_name) != 1)
		goto out;
	/* An address is no name for the server to choose by (RFC 6066). */
	if (!is_address(server_name) &&
	    SSL_set_tlsext_host_name(ssl, server_name) != 1)
		goto out;
	return ssl;
out:
	SSL_free(ssl);
	ERR_clear_error();
	err_set(err, E_NOMEM, "TLS: new session: out of memory");
	return NULL;
}

void
tls_session_free(struct ssl_st *ssl)
{
	SSL_free(ssl);
}

int
tls_check_alpn(const struct ssl_st *ssl, struct err *err)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	if (len != sizeof(TLS_ALPN) - 1 || memcmp(name, TLS_ALPN, len) != 0)
		return err_set(err, E_TLS, "the peer does not speak %s", TLS_ALPN);
	return E_OK;
}

int
tls_peer_name(const struct ssl_st *ssl, char *dst, size_t size)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_NAME_ENTRY *entry;
	unsigned char *utf8;
	int at, len, rc = E_OK;

	if (cert == NULL)
		return E_TLS;
	at = X509_NAME_get_index_by_NID(X509_get_subject_name(cert),
	    NID_commonName, -1);
	if (at < 0)
		return E_TLS;
	entry = X509_NAME_get_entry(X509_get_subject_name(cert), at);
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
	if (len < 0)
		return E_TLS;
	/* An embedded NUL would let a name pose as a shorter one. */
	if ((size_t)len >= size)
		rc = E_TOOBIG;
	else if (memchr(utf8, '\0', (size_t)len) != NULL)
		rc = E_TLS;
	else {
		memcpy(dst, utf8, (size_t)len);
		dst[len] = '\0';
	}
	OPENSSL_free(utf8);
	return rc;
}
