/*
 * session_lab - the network process's first thread without its main: a real
 * session, captures and boundary calls, with capagent and clients played.
 */
#ifndef TESTS_UNIT_SESSION_LAB_H
#define TESTS_UNIT_SESSION_LAB_H

#include "boundary_lab.h"
#include "peer_lab.h"
#include "pki_lab.h"
#include "server/net.h"

enum {
	SESSION_LAB_CLIENTS = 3,
	/* The interfaces that capagent permits besides lo, which is real. */
	SESSION_LAB_DOWN = 9001, SESSION_LAB_RAW = 9002,
};

struct session_lab {
	struct pki_lab	*pki;
	struct tls	*client_tls;
	struct net	 net;
	struct boundary_lab boundary;
	struct peer	 clients[SESSION_LAB_CLIENTS];
	struct peer	*client;	/* the first of them */
	bool		 is_gone;	/* the boundary */
};

/* For setup and teardown: *state is the lab; its clients are not connected. */
int session_lab_open(void **state);
int session_lab_close(void **state);

/* Connect client i and accept it as a session; waits for the handshake. */
void session_lab_connect(struct session_lab *lab, unsigned i);

/* The same up to the agent's hello. */
void session_lab_greet(struct session_lab *lab, unsigned i);

/* A Start for one interface; its storage is good until the next call. */
struct msg session_lab_start(const char *iface);

/* Until no session and no capture is left, and capagent has no handle open. */
void session_lab_until_idle(struct session_lab *lab);

/* Until capagent has seen n requests of this type. */
void session_lab_until_seen(struct session_lab *lab, enum priv_msg_type type,
    unsigned n);

/* An Error with this code and word, then the end. */
void session_lab_assert_refused(struct session_lab *lab, struct peer *client,
    int code, const char *word);

#endif /* TESTS_UNIT_SESSION_LAB_H */
