/*
 * background - slow work in threads of its own, with the answer in the loop.
 *
 * For what libpcap and name look-ups take seconds for, while packets come.
 * Knows nothing of what the work is.  Belongs to the thread of one loop.
 */
#ifndef CLIENT_BACKGROUND_H
#define CLIENT_BACKGROUND_H

#include "common/err.h"
#include "common/loop.h"
#include "common/mailbox.h"

struct background;

/* Intrusive head: the first member of every work. */
struct background_work {
	struct mail	 mail;			/* background's own */
	struct background *by;			/* background's own */
	/* In its thread; touches nothing but the work. */
	void		(*run)(struct background_work *work);
	/* Then, from the loop; owns the work.  May call background_free(). */
	void		(*done)(struct background_work *work, void *arg);
	/* Instead of done, in any thread, once background is freed. */
	void		(*drop)(struct background_work *work);
};

/* NULL when it fails. */
struct background *background_new(struct loop *loop, void *arg, struct err *err);

/*
 * What still runs is let go: nothing stops libpcap, and nobody waits for it.
 * NULL is allowed.
 */
void background_free(struct background *background);

/* Start work (taken on E_OK) beside what runs already.  E_SYS, E_NOMEM. */
int background_start(struct background *background, struct background_work *work,
    struct err *err) MUST_CHECK;

#endif /* CLIENT_BACKGROUND_H */
