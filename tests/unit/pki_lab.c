#include "pki_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { N_AUTHORITIES = PKI_TWIN_CA + 1, DAY_S = 24 * 60 * 60 };

struct pki_lab {
	X509		*ca[N_AUTHORITIES];
	EVP_PKEY	*ca_key[N_AUTHORITIES];
	long		 serial;
};

const struct pki_spec pki_agent = {
	.common_name = "sensor1", .san = "DNS:sensor1,IP:127.0.0.1",
	.usage = PKI_FOR_AGENTS,
};
const struct pki_spec pki_client = {
	.common_name = "alice", .usage = PKI_FOR_CLIENTS,
};

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static void
set_name(X509 *cert, const char *common_name, int len)
{
	X509_NAME *name = X509_get_subject_name(cert);

	assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
	    (const unsigned char *)"capture test", -1, -1, 0), 1);
	if (common_name != NULL)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN",
		    MBSTRING_UTF8, (const unsigned char *)common_name,
		    len == 0 ? -1 : len, -1, 0), 1);
}

static X509 *
new_cert(struct pki_lab *lab, EVP_PKEY *key, int from_days, int to_days)
{
	X509 *cert = X509_new();

	assert_non_null(cert);
	assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++lab->serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), (long)from_days * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), (long)to_days * DAY_S);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	return cert;
}

static void
sign(X509 *cert, const X509 *issuer, EVP_PKEY *issuer_key)
{
	assert_int_equal(X509_set_issuer_name(cert,
	    X509_get_subject_name(issuer)), 1);
	assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
}

static void
make_authority(struct pki_lab *lab, enum pki_issuer which)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert;

	assert_non_null(key);
	cert = new_cert(lab, key, -400, 400);
	set_name(cert, which == PKI_OTHER_CA ? "another CA" : "the CA", 0);
	add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	sign(cert, cert, key);
	lab->ca[which] = cert;
	lab->ca_key[which] = key;
}

struct pki_lab *
pki_lab_new(void)
{
	struct pki_lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	make_authority(lab, PKI_CA);
	make_authority(lab, PKI_OTHER_CA);
	make_authority(lab, PKI_TWIN_CA);
	return lab;
}

void
pki_lab_free(struct pki_lab *lab)
{
	for (int i = 0; i < N_AUTHORITIES; i++) {
		X509_free(lab->ca[i]);
		EVP_PKEY_free(lab->ca_key[i]);
	}
	free(lab);
}

static X509 *
make_cert(struct pki_lab *lab, const struct pki_spec *spec, EVP_PKEY *key)
{
	static const char *const usages[] = {
		NULL, "serverAuth", "clientAuth", "serverAuth,clientAuth",
	};
	bool has_dates = spec->from_days != 0 || spec->to_days != 0;
	X509 *cert = new_cert(lab, key, has_dates ? spec->from_days : -1,
	    has_dates ? spec->to_days : 30);

	set_name(cert, spec->common_name, spec->common_name_len);
	add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(cert, NID_key_usage, "critical,digitalSignature");
	if (usages[spec->usage] != NULL)
		add_extension(cert, NID_ext_key_usage, usages[spec->usage]);
	if (spec->san != NULL)
		add_extension(cert, NID_subject_alt_name, spec->san);
	if (spec->issuer == PKI_SELF)
		sign(cert, cert, key);
	else
		sign(cert, lab->ca[spec->issuer], lab->ca_key[spec->issuer]);
	return cert;
}

static int
memory_file(BIO *content)
{
	int fd = memfd_create("pem", MFD_CLOEXEC);
	char *p;
	long len = BIO_get_mem_data(content, &p);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, (size_t)len), len);
	BIO_free(content);
	return fd;
}

static int
cert_file(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
	return memory_file(bio);
}

static int
key_file(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL,
	    NULL), 1);
	return memory_file(bio);
}

void
pki_lab_open(struct pki_lab *lab, const struct pki_spec *spec,
    struct tls_files *ret_files)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_cert(lab, spec, key);

	*ret_files = (struct tls_files){
		.cert_fd = cert_file(cert), .cert_name = "cert.pem",
		.key_fd = key_file(key), .key_name = "cert.key",
		.ca_fd = cert_file(lab->ca[PKI_CA]), .ca_name = "ca.pem",
	};
	X509_free(cert);
	EVP_PKEY_free(key);
}

void
pki_lab_close(struct tls_files *files)
{
	close(files->cert_fd);
	close(files->key_fd);
	close(files->ca_fd);
}

struct tls *
pki_lab_tls(struct pki_lab *lab, enum tls_role role, const struct pki_spec *spec)
{
	struct tls_files files;
	struct tls *tls;
	struct err err;

	pki_lab_open(lab, spec, &files);
	tls = tls_new(role, &files, &err);
	if (tls == NULL)
		fail_msg("%s", err.what);
	pki_lab_close(&files);
	return tls;
}

static int
accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int
select_ours(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)in;
	(void)in_len;
	(void)arg;
	*out = (const unsigned char *)TLS_ALPN;
	*out_len = sizeof(TLS_ALPN) - 1;
	return SSL_TLSEXT_ERR_OK;
}

struct ssl_ctx_st *
pki_lab_ctx(struct pki_lab *lab, enum tls_role role, const struct pki_spec *spec)
{
	static const unsigned char alpn[] = "\x09" TLS_ALPN;
	SSL_CTX *ctx = SSL_CTX_new(role == TLS_AGENT ? TLS_server_method() :
	    TLS_client_method());

	assert_non_null(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_num_tickets(ctx, 0);
	if (role == TLS_AGENT)
		SSL_CTX_set_alpn_select_cb(ctx, select_ours, NULL);
	else
		SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1);
	if (spec != NULL) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		X509 *cert = make_cert(lab, spec, key);

		assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
		X509_free(cert);
		EVP_PKEY_free(key);
	}
	return ctx;
}

void
pki_lab_ctx_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}
