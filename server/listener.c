#include "server/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/own_addresses.h"
#include "server/session.h"

enum {
	ACCEPTS_PER_TURN = 16,
	PAUSE_MS = 1000,		/* when descriptors have run out */
};

struct listener {
	struct net	*net;
	int		 fd;
	struct loop_io	*io;
	struct loop_timer *pause;
	struct sockaddr_storage local;
	const char	*address;	/* the setup's */
};

static void
pause_accepting(struct listener *l)
{
	log_err(LOG_LISTEN, "%s: accept: %s: paused for %d s", l->address,
	    strerror(errno), PAUSE_MS / 1000);
	(void)loop_io_set(l->io, 0);
	loop_timer_set(l->pause, (int64_t)PAUSE_MS * NS_PER_MS);
}

static void
pause_is_over(void *arg)
{
	struct listener *l = arg;

	(void)loop_io_set(l->io, LOOP_READ);
}

static void
on_connection(unsigned events, void *arg)
{
	struct listener *l = arg;
	struct sockaddr_storage peer;
	socklen_t len;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		len = sizeof(peer);
		fd = accept4(l->fd, (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOMEM || errno == ENOBUFS)
				pause_accepting(l);
			return;
		}
		own_addresses_learn(l->net, fd);
		session_accept(l->net, fd, &peer);
	}
}

struct listener *
listener_new(struct net *net, int fd, const char *address, struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	socklen_t len;

	if (l == NULL) {
		close(fd);
		err_set(err, E_NOMEM, "%s: listen: out of memory", address);
		return NULL;
	}
	*l = (struct listener){ .net = net, .fd = fd, .address = address };
	len = sizeof(l->local);
	if (getsockname(fd, (struct sockaddr *)&l->local, &len) < 0) {
		err_sys(err, "%s: read local address", address);
		goto out;
	}
	l->io = loop_io_new(net->loop, fd, on_connection, l);
	l->pause = loop_timer_new(net->loop, pause_is_over, l);
	if (l->io == NULL || l->pause == NULL ||
	    loop_io_set(l->io, LOOP_READ) != E_OK) {
		err_set(err, E_NOMEM, "%s: listen: out of memory", address);
		goto out;
	}
	return l;
out:
	listener_free(l);
	return NULL;
}

const struct sockaddr_storage *
listener_local(const struct listener *l)
{
	return &l->local;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	loop_timer_free(l->pause);
	loop_io_free(l->io);
	close(l->fd);
	free(l);
}
