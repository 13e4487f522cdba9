#include "common/mailbox.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t	 lock;		/* guards first and end */
	struct mail	*first, **end;
	struct mail	*taken;		/* receiver's: out of the lock, not yet given */
	bool		 is_giving, is_freed;
	int		 fd;		/* eventfd: readable while mail waits */
	struct loop_io	*io;
	mailbox_fn	 fn;
	void		*arg;
};

static struct mail *
take_all(struct mailbox *box)
{
	struct mail *mail;

	pthread_mutex_lock(&box->lock);
	mail = box->first;
	box->first = NULL;
	box->end = &box->first;
	pthread_mutex_unlock(&box->lock);
	return mail;
}

static void
destroy(struct mailbox *box)
{
	close(box->fd);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

static void
deliver(unsigned events, void *arg)
{
	struct mailbox *box = arg;
	uint64_t count;

	(void)events;
	/* Empty the counter first: a post from now on wakes us again. */
	if (read(box->fd, &count, sizeof(count)) < 0)
		return;
	box->taken = take_all(box);
	box->is_giving = true;
	while (box->taken != NULL) {
		struct mail *mail = box->taken;

		box->taken = mail->next;
		box->fn(mail, box->arg);
	}
	box->is_giving = false;
	if (box->is_freed)
		destroy(box);
}

struct mailbox *
mailbox_new(struct loop *loop, mailbox_fn fn, void *arg, struct err *err)
{
	struct mailbox *box = calloc(1, sizeof(*box));

	if (box == NULL) {
		err_set(err, E_NOMEM, "mailbox: create: out of memory");
		return NULL;
	}
	pthread_mutex_init(&box->lock, NULL);
	box->end = &box->first;
	box->fn = fn;
	box->arg = arg;
	box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (box->fd < 0) {
		err_sys(err, "mailbox: eventfd");
		goto out_box;
	}
	box->io = loop_io_new(loop, box->fd, deliver, box);
	if (box->io == NULL || loop_io_set(box->io, LOOP_READ) != E_OK) {
		err_set(err, E_NOMEM, "mailbox: watch: out of memory");
		goto out_fd;
	}
	return box;
out_fd:
	loop_io_free(box->io);
	close(box->fd);
out_box:
	pthread_mutex_destroy(&box->lock);
	free(box);
	return NULL;
}

static void
drop_all(struct mail *mail, void (*drop)(struct mail *mail))
{
	while (mail != NULL) {
		struct mail *next = mail->next;

		drop(mail);
		mail = next;
	}
}

void
mailbox_free(struct mailbox *box, void (*drop)(struct mail *mail))
{
	if (box == NULL)
		return;
	drop_all(box->taken, drop);
	box->taken = NULL;
	drop_all(take_all(box), drop);
	loop_io_free(box->io);
	box->io = NULL;
	/* Whoever gives a message still holds box. */
	if (box->is_giving)
		box->is_freed = true;
	else
		destroy(box);
}

void
mailbox_post(struct mailbox *box, struct mail *mail)
{
	const uint64_t one = 1;

	mail->next = NULL;
	pthread_mutex_lock(&box->lock);
	*box->end = mail;
	box->end = &mail->next;
	/*
	 * Under the lock, so that the receiver cannot free the box between
	 * the two; an eventfd cannot block here before 2^64 posts.
	 */
	if (write(box->fd, &one, sizeof(one)) < 0)
		abort();
	pthread_mutex_unlock(&box->lock);
}
