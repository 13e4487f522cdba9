#include "session_lab.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop_lab.h"
#include "proto/limits.h"
#include "server/captures.h"
#include "server/session.h"

static void
on_end(void *arg)
{
	(void)arg;
}

static void
on_gone(const struct err *err, void *arg)
{
	struct session_lab *lab = arg;

	(void)err;
	lab->is_gone = true;
}

static void
permit(struct boundary_lab *b, const char *name, uint32_t index, uint32_t flags,
    uint16_t arphrd)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	struct priv_interface *iface = &b->interfaces[b->n_interfaces++];

	iface->index = index;
	iface->flags = flags;
	iface->arphrd = arphrd;
	(void)link_type_choices(arphrd, name, choices);
	iface->link_type = choices[0].link_type;
	snprintf(iface->name, sizeof(iface->name), "%s", name);
}

int
session_lab_open(void **state)
{
	static const struct priv_call_events events = {
		.end = on_end, .gone = on_gone,
	};
	static struct session_lab lab;
	struct err err;

	signal(SIGPIPE, SIG_IGN);	/* as both programs do */
	memset(&lab, 0, sizeof(lab));
	lab.client = &lab.clients[0];
	lab.pki = pki_lab_new();
	lab.client_tls = pki_lab_tls(lab.pki, TLS_CLIENT, &pki_client);
	lab.net.loop = loop_new(&err);
	assert_non_null(lab.net.loop);
	lab.net.tls = pki_lab_tls(lab.pki, TLS_AGENT, &pki_agent);
	lab.net.setup.config = (struct priv_setup_config){
		.ring_memory = 512 << 20, .log_memory = 1 << 30,
		.max_captures = 64, .max_interfaces = 4,
		.max_snaplen = 262144, .promiscuous = 1, .mark = 77,
	};
	own_traffic_init(&lab.net.own);
	permit(&lab.boundary, "lo", if_nametoindex("lo"), IFF_UP | IFF_LOOPBACK |
	    IFF_RUNNING, ARPHRD_LOOPBACK);
	permit(&lab.boundary, "down9", SESSION_LAB_DOWN, 0, ARPHRD_ETHER);
	permit(&lab.boundary, "raw9", SESSION_LAB_RAW, IFF_UP, ARPHRD_NONE);
	boundary_lab_open(&lab.boundary, lab.net.loop);
	lab.net.call = priv_call_new(lab.net.loop, lab.boundary.child_fd, &events,
	    &lab, &err);
	assert_non_null(lab.net.call);
	lab.net.captures = captures_new(&lab.net, &err);
	assert_non_null(lab.net.captures);
	*state = &lab;
	return 0;
}

static bool
is_idle(void *arg)
{
	struct session_lab *lab = arg;

	return lab->net.n_sessions == 0 &&
	    captures_count(lab->net.captures) == 0 &&
	    boundary_lab_open_handles(&lab->boundary) == 0 &&
	    lab->boundary.n_netns_open == 0;
}

void
session_lab_until_idle(struct session_lab *lab)
{
	loop_lab_until(lab->net.loop, is_idle, lab);
}

int
session_lab_close(void **state)
{
	struct session_lab *lab = *state;

	for (int i = 0; i < SESSION_LAB_CLIENTS; i++)
		peer_lab_close(&lab->clients[i]);
	lab->boundary.hold_type = 0;
	lab->boundary.refuse_type = 0;
	while (lab->boundary.n_held > 0)
		boundary_lab_answer(&lab->boundary);
	session_lab_until_idle(lab);
	assert_false(lab->is_gone);
	assert_null(lab->net.sessions);
	captures_free(lab->net.captures);
	priv_call_free(lab->net.call);
	boundary_lab_close(&lab->boundary);
	loop_free(lab->net.loop);
	tls_free(lab->net.tls);
	tls_free(lab->client_tls);
	pki_lab_free(lab->pki);
	return 0;
}

void
session_lab_connect(struct session_lab *lab, unsigned i)
{
	struct sockaddr_storage peer;
	struct sockaddr_in addr;
	socklen_t len = sizeof(peer);
	int fd, listener = loop_lab_listen(&addr);

	peer_lab_connect(&lab->clients[i], lab->net.loop, lab->client_tls, &addr);
	fd = loop_lab_accept(listener);
	close(listener);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	session_accept(&lab->net, fd, &peer);
	peer_lab_until_secured(&lab->clients[i]);
}

void
session_lab_greet(struct session_lab *lab, unsigned i)
{
	struct msg msg = { .type = MSG_HELLO, .hello.version = PROTO_VERSION };

	session_lab_connect(lab, i);
	peer_lab_send(&lab->clients[i], &msg);
	(void)peer_lab_take(&lab->clients[i], MSG_HELLO);
}

struct msg
session_lab_start(const char *iface)
{
	static struct msg_interface_request requests[4];
	static struct msg_filter filter;
	static char text[] = "";
	struct msg msg = { .type = MSG_START };

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		requests[i] = (struct msg_interface_request){ .snaplen = 1000 };
		snprintf(requests[i].name, sizeof(requests[i].name), "%s",
		    i == 0 ? iface : "raw9");
	}
	filter = (struct msg_filter){ .text = text };
	msg.start.n_interfaces = 1;
	msg.start.interfaces = requests;
	msg.start.n_filters = 1;
	msg.start.filters = &filter;
	msg.start.ring_bytes = 2 * (uint64_t)PRIV_MIN_RING;
	return msg;
}

struct wanted { struct session_lab *lab; enum priv_msg_type type; unsigned n; };

static bool
has_seen(void *arg)
{
	struct wanted *w = arg;

	return w->lab->boundary.n_seen[w->type] >= w->n;
}

void
session_lab_until_seen(struct session_lab *lab, enum priv_msg_type type, unsigned n)
{
	loop_lab_until(lab->net.loop, has_seen, &(struct wanted){ lab, type, n });
	assert_int_equal(lab->boundary.n_seen[type], n);
}

void
session_lab_assert_refused(struct session_lab *lab, struct peer *client, int code,
    const char *word)
{
	const struct msg_error *error =
	    &peer_lab_take_main(client, MSG_ERROR)->msg.error;

	if (error->code != code || strstr(error->text, word) == NULL)
		fail_msg("%s (%s), not '%s'", error->text, err_name(error->code),
		    word);
	peer_lab_until_over(client);
	assert_int_equal(client->how, CONN_EV_CLOSED);
	(void)lab;
}
