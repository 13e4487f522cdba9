#include "loop_lab.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "common/clock.h"

enum { LIMIT_S = 20 };

struct wait {
	struct loop	*loop;
	struct loop_timer *timer;
	bool	       (*is_true)(void *arg);
	void		*arg;
	struct mono_ns	 since;
	int64_t		 limit_ns;
	bool		 is_over;
};

static void
look(void *arg)
{
	struct wait *w = arg;

	if (w->is_true != NULL && w->is_true(w->arg)) {
		loop_stop(w->loop);
		return;
	}
	if (mono_diff_ns(clock_mono(), w->since) > w->limit_ns) {
		w->is_over = true;
		loop_stop(w->loop);
		return;
	}
	loop_timer_set(w->timer, NS_PER_MS);
}

static void
run(struct wait *w)
{
	struct err err;

	w->since = clock_mono();
	w->timer = loop_timer_new(w->loop, look, w);
	assert_non_null(w->timer);
	loop_timer_set(w->timer, 0);
	assert_int_equal(loop_run(w->loop, &err), E_OK);
	loop_timer_free(w->timer);
}

void
loop_lab_until(struct loop *loop, bool (*is_true)(void *arg), void *arg)
{
	struct wait w = { .loop = loop, .is_true = is_true, .arg = arg,
	    .limit_ns = (int64_t)LIMIT_S * NS_PER_S };

	run(&w);
	if (w.is_over)
		fail_msg("nothing happened in %d s", LIMIT_S);
}

static bool
is_set(void *arg)
{
	return *(bool *)arg;
}

void
loop_lab_until_set(struct loop *loop, bool *flag)
{
	loop_lab_until(loop, is_set, flag);
}

void
loop_lab_run_ms(struct loop *loop, int ms)
{
	struct wait w = { .loop = loop, .limit_ns = (int64_t)ms * NS_PER_MS };

	run(&w);
}

int
loop_lab_listen(struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

int
loop_lab_accept(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	int fd;

	assert_int_equal(poll(&p, 1, LIMIT_S * 1000), 1);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}
