#include "common/tls.h"

#include <errno.h>
#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

enum cause {
	CAUSE_NONE, CAUSE_EXPIRED, CAUSE_NOT_YET, CAUSE_CA, CAUSE_SELF_SIGNED,
	CAUSE_PURPOSE, CAUSE_NAME, CAUSE_NO_CERT, CAUSE_REVOKED,
};

/* One wording for each cause, whichever side found it. */
static const char *
cause_text(enum cause cause, bool is_agents)
{
	switch (cause) {
	case CAUSE_EXPIRED:
		return "certificate has expired";
	case CAUSE_NOT_YET:
		return "certificate is not yet valid";
	case CAUSE_CA:
		return "certificate is not from the expected CA";
	case CAUSE_SELF_SIGNED:
		return "self-signed certificate";
	case CAUSE_PURPOSE:
		return is_agents ? "certificate is not for an agent" :
		    "certificate is not for a client";
	case CAUSE_NAME:
		return "certificate does not carry the host name asked for";
	case CAUSE_NO_CERT:
		return "no client certificate";
	case CAUSE_REVOKED:
		return "certificate is revoked";
	case CAUSE_NONE:
		break;
	}
	return NULL;
}

static enum cause
cause_of_verify(long result)
{
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return CAUSE_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return CAUSE_NOT_YET;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return CAUSE_CA;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return CAUSE_SELF_SIGNED;
	case X509_V_ERR_INVALID_PURPOSE:
		return CAUSE_PURPOSE;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return CAUSE_NAME;
	case X509_V_ERR_CERT_REVOKED:
		return CAUSE_REVOKED;
	default:
		return CAUSE_NONE;
	}
}

static bool
is_self_signed(X509 *cert)
{
	return cert != NULL && X509_self_signed(cert, 0) == 1;
}

/*
 * What the peer meant by its alert about our certificate.  OpenSSL sends
 * "bad certificate" for a wrong name, a self-signed one and one not yet
 * valid alike (ssl/statem/statem_lib.c, x509table): our own certificate tells
 * which.
 */
static enum cause
cause_of_alert(SSL *ssl, int reason)
{
	X509 *own = SSL_get_certificate(ssl);

	switch (reason) {
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return CAUSE_EXPIRED;
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
		return CAUSE_REVOKED;
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	/* The issuer's name was right, but not its signature. */
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
		return is_self_signed(own) ? CAUSE_SELF_SIGNED : CAUSE_CA;
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
		return CAUSE_PURPOSE;
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return CAUSE_NO_CERT;
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
		if (is_self_signed(own))
			return CAUSE_SELF_SIGNED;
		if (own != NULL &&
		    X509_cmp_current_time(X509_get0_notBefore(own)) > 0)
			return CAUSE_NOT_YET;
		return SSL_is_server(ssl) ? CAUSE_NAME : CAUSE_NONE;
	default:
		return CAUSE_NONE;
	}
}

/* What we asked the agent's certificate to name; the caller OPENSSL_free()s. */
static char *
asked_name(SSL *ssl)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);

	return host != NULL ? OPENSSL_strdup(host) :
	    X509_VERIFY_PARAM_get1_ip_asc(param);
}

static int
refused_by_us(SSL *ssl, struct err *err)
{
	bool is_agent = SSL_is_server(ssl);
	long result = SSL_get_verify_result(ssl);
	enum cause cause = cause_of_verify(result);
	const char *text = cause_text(cause, !is_agent);
	char *name = cause == CAUSE_NAME ? asked_name(ssl) : NULL;

	err_set(err, E_TLS, "the %s's certificate is refused: %s%s%.120s%s",
	    is_agent ? "client" : "agent",
	    text != NULL ? text : X509_verify_cert_error_string(result),
	    name != NULL ? ", '" : "", name != NULL ? name : "",
	    name != NULL ? "': --server-name says which name to expect" : "");
	OPENSSL_free(name);
	return E_TLS;
}

static int
error_of_queue(SSL *ssl, unsigned long first, struct err *err)
{
	bool is_agent = SSL_is_server(ssl);
	int reason = ERR_GET_REASON(first);
	const char *text;

	switch (reason) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return refused_by_us(ssl, err);
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return err_set(err, E_TLS, "the client is refused: %s",
		    cause_text(CAUSE_NO_CERT, false));
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return err_set(err, E_PEERGONE, "connection closed by the peer");
	case SSL_R_HTTP_REQUEST:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
		return err_set(err, E_TLS, "the peer does not speak TLS");
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		return err_set(err, E_TLS, "the peer does not speak %s", TLS_ALPN);
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return err_set(err, E_TLS, "the peer does not speak TLS 1.3");
	default:
		break;
	}
	text = cause_text(cause_of_alert(ssl, reason), is_agent);
	if (text != NULL)
		return err_set(err, E_TLS, "the %s refused our certificate: %s",
		    is_agent ? "client" : "agent", text);
	text = ERR_reason_error_string(first);
	return err_set(err, E_TLS, "TLS: %s", text == NULL ? "failed" : text);
}

/*
 * The first error of libssl, which names what failed; libcrypto's, in front of
 * it, name a detail.  Empties the queue; 0 when it was empty.
 */
static unsigned long
take_first_error(void)
{
	unsigned long first = ERR_get_error(), next;

	while (first != 0 && ERR_GET_LIB(first) != ERR_LIB_SSL &&
	    (next = ERR_get_error()) != 0)
		first = next;
	ERR_clear_error();
	return first;
}

int
tls_error(struct ssl_st *ssl, int ssl_error, int sys, struct err *err)
{
	unsigned long first = take_first_error();
	int code;

	if (ssl_error == SSL_ERROR_ZERO_RETURN)
		return err_set(err, E_EOF, "connection closed by the peer");
	if (first != 0)
		return error_of_queue(ssl, first, err);
	if (sys != 0) {
		errno = sys;
		code = err_sys(err, "connection lost");
		if (err != NULL && code == E_SYS)
			err->code = E_PEERGONE;
		return E_PEERGONE;
	}
	return err_set(err, E_PEERGONE, "connection closed by the peer");
}
