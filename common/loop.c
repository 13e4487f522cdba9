#include "common/loop.h"

#include <stdlib.h>
#include <sys/time.h>

#include <event2/event.h>

#include "common/clock.h"

struct loop {
	struct event_base *base;
};

struct loop_io {
	struct loop	*loop;
	struct event	*event;
	int		 fd;
	unsigned	 events;
	loop_io_fn	 fn;
	void		*arg;
};

struct loop_timer {
	struct event	*event;
	loop_fn		 fn;
	void		*arg;
};

struct loop_signal {
	struct event	*event;
	loop_fn		 fn;
	void		*arg;
};

struct loop *
loop_new(struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *cfg = event_config_new();

	if (loop == NULL || cfg == NULL)
		goto out;
	/* Each loop is one thread's own: no locks. */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(cfg);
	if (loop->base == NULL)
		goto out;
	event_config_free(cfg);
	return loop;
out:
	err_set(err, E_NOMEM, "event loop: create: out of memory or descriptors");
	if (cfg != NULL)
		event_config_free(cfg);
	free(loop);
	return NULL;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	event_base_free(loop->base);
	free(loop);
}

int
loop_run(struct loop *loop, struct err *err)
{
	if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		return err_set(err, E_SYS, "event loop: wait for events: failed");
	return E_OK;
}

void
loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

static void
io_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;

	(void)fd;
	io->fn(((what & EV_READ) ? LOOP_READ : 0u) |
	    ((what & EV_WRITE) ? LOOP_WRITE : 0u), io->arg);
}

struct loop_io *
loop_io_new(struct loop *loop, int fd, loop_io_fn fn, void *arg)
{
	struct loop_io *io = calloc(1, sizeof(*io));

	if (io == NULL)
		return NULL;
	*io = (struct loop_io){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
	io->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, io_ready, io);
	if (io->event == NULL) {
		free(io);
		return NULL;
	}
	return io;
}

void
loop_io_free(struct loop_io *io)
{
	if (io == NULL)
		return;
	event_free(io->event);
	free(io);
}

int
loop_io_set(struct loop_io *io, unsigned events)
{
	short what = EV_PERSIST;

	if (events == io->events)
		return E_OK;
	event_del(io->event);
	io->events = 0;
	if (events == 0)
		return E_OK;
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (event_assign(io->event, io->loop->base, io->fd, what, io_ready, io) != 0 ||
	    event_add(io->event, NULL) != 0)
		return E_SYS;
	io->events = events;
	return E_OK;
}

static void
timer_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;

	(void)fd;
	(void)what;
	timer->fn(timer->arg);
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return NULL;
	timer->fn = fn;
	timer->arg = arg;
	timer->event = evtimer_new(loop->base, timer_ready, timer);
	if (timer->event == NULL) {
		free(timer);
		return NULL;
	}
	return timer;
}

void
loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	event_free(timer->event);
	free(timer);
}

void
loop_timer_set(struct loop_timer *timer, int64_t delay_ns)
{
	struct timeval tv = {
		.tv_sec = delay_ns / NS_PER_S,
		.tv_usec = delay_ns % NS_PER_S / NS_PER_US,
	};

	/* Fails only without memory for the heap's next slot. */
	(void)evtimer_add(timer->event, &tv);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	evtimer_del(timer->event);
}

static void
signal_ready(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *signal = arg;

	(void)signo;
	(void)what;
	signal->fn(signal->arg);
}

struct loop_signal *
loop_signal_new(struct loop *loop, int signo, loop_fn fn, void *arg)
{
	struct loop_signal *signal = calloc(1, sizeof(*signal));

	if (signal == NULL)
		return NULL;
	signal->fn = fn;
	signal->arg = arg;
	signal->event = evsignal_new(loop->base, signo, signal_ready, signal);
	if (signal->event == NULL || evsignal_add(signal->event, NULL) != 0) {
		if (signal->event != NULL)
			event_free(signal->event);
		free(signal);
		return NULL;
	}
	return signal;
}

void
loop_signal_free(struct loop_signal *signal)
{
	if (signal == NULL)
		return;
	event_free(signal->event);
	free(signal);
}
