/*
 * credentials - the agent's certificate, key and CA as open files.
 *
 * Runs in capagent, which reads none of them: they are opened with its
 * rights and read by capagent-net.
 */
#ifndef SERVER_CREDENTIALS_H
#define SERVER_CREDENTIALS_H

#include "common/err.h"
#include "server/policy.h"

struct credentials { int cert_fd, key_fd, ca_fd; };

/*
 * Open all three.  E_CONFIG, with the file and, where it is missing, what
 * makes it and where; also for a private key that others can read.
 */
int credentials_open(const struct policy *policy, struct credentials *ret_credentials,
    struct err *err) MUST_CHECK;

void credentials_close(struct credentials *credentials);

#endif /* SERVER_CREDENTIALS_H */
