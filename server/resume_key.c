#include "server/resume_key.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>

/* The kernel gives so few bytes whole, once it has any. */
static int
fill(void *dst, size_t len, struct err *err)
{
	if (getrandom(dst, len, 0) != (ssize_t)len)
		return err_sys(err, "capture: make a token: random numbers");
	return E_OK;
}

int
resume_key_make(struct resume_key *ret_key, bool wants_token, const char *identity,
    struct err *err)
{
	struct resume_key key = { .has_token = wants_token };
	int rc = E_OK;

	while (rc == E_OK && key.capture_id == 0)
		rc = fill(&key.capture_id, sizeof(key.capture_id), err);
	if (rc == E_OK && wants_token)
		rc = fill(&key.token, sizeof(key.token), err);
	if (rc != E_OK)
		return rc;
	snprintf(key.identity, sizeof(key.identity), "%s", identity);
	*ret_key = key;
	return E_OK;
}

const char *
resume_key_refuse(const struct resume_key *key, const struct capture_token *token,
    const char *identity)
{
	if (!key->has_token)
		return "it does not linger";
	if (CRYPTO_memcmp(&key->token, token, sizeof(*token)) != 0)
		return "wrong token";
	if (strcmp(key->identity, identity) != 0)
		return "another identity in the certificate";
	return NULL;
}
