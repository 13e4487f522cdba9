#include "client/background.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* libpcap's optimizer recurses; as much as a main thread usually has. */
enum { STACK_BYTES = 8 << 20 };

struct background {
	pthread_mutex_t	 lock;		/* guards refs and box */
	unsigned	 refs;		/* the owner's and each thread's */
	struct mailbox	*box;		/* NULL: the owner is gone */
	void		*arg;
};

static void
take(struct mail *mail, void *arg)
{
	struct background_work *work = (struct background_work *)(void *)mail;
	struct background *b = arg;

	work->done(work, b->arg);
}

static void
drop(struct mail *mail)
{
	struct background_work *work = (struct background_work *)(void *)mail;

	work->drop(work);
}

/* Caller holds the lock, which is free afterwards. */
static void
unref_locked(struct background *b)
{
	bool is_last = --b->refs == 0;

	pthread_mutex_unlock(&b->lock);
	if (!is_last)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

struct background *
background_new(struct loop *loop, void *arg, struct err *err)
{
	struct background *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		err_set(err, E_NOMEM, "background: create: out of memory");
		return NULL;
	}
	b->box = mailbox_new(loop, take, b, err);
	if (b->box == NULL) {
		free(b);
		return NULL;
	}
	pthread_mutex_init(&b->lock, NULL);
	b->refs = 1;
	b->arg = arg;
	return b;
}

void
background_free(struct background *b)
{
	struct mailbox *box;

	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	box = b->box;
	b->box = NULL;
	pthread_mutex_unlock(&b->lock);
	mailbox_free(box, drop);
	pthread_mutex_lock(&b->lock);
	unref_locked(b);
}

static void *
thread_main(void *arg)
{
	struct background_work *work = arg;
	struct background *b = work->by;
	bool is_wanted;

	work->run(work);
	pthread_mutex_lock(&b->lock);
	is_wanted = b->box != NULL;
	if (is_wanted)
		mailbox_post(b->box, &work->mail);
	unref_locked(b);
	if (!is_wanted)
		work->drop(work);
	return NULL;
}

static int
spawn(struct background_work *work)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc = pthread_attr_init(&attr);

	if (rc != 0)
		return rc;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	rc = pthread_create(&thread, &attr, thread_main, work);
	pthread_attr_destroy(&attr);
	return rc;
}

int
background_start(struct background *b, struct background_work *work, struct err *err)
{
	int rc;

	work->by = b;
	pthread_mutex_lock(&b->lock);
	b->refs++;
	pthread_mutex_unlock(&b->lock);
	rc = spawn(work);
	if (rc == 0)
		return E_OK;
	pthread_mutex_lock(&b->lock);
	unref_locked(b);
	errno = rc;
	return err_sys(err, "background: start a thread");
}
