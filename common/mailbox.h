/*
 * mailbox - hand messages from any thread to the thread of one loop.
 *
 * The only shared state between threads.  Messages arrive in the order of
 * posting; the receiver owns each one.
 */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include "common/err.h"
#include "common/loop.h"

struct mailbox;

/* Intrusive head: the first member of every message. */
struct mail { struct mail *next; };

typedef void (*mailbox_fn)(struct mail *mail, void *arg);

/* fn is called in loop's thread, once per message.  NULL when it fails. */
struct mailbox *mailbox_new(struct loop *loop, mailbox_fn fn, void *arg,
    struct err *err);

/*
 * Free the box (in its loop's thread, also while it gives a message, or
 * after that thread ended).  Messages
 * not yet taken are given to drop, which may be NULL when there are none.
 */
void mailbox_free(struct mailbox *box, void (*drop)(struct mail *mail));

/* Post mail (takes it).  Never fails, never blocks for long, any thread. */
void mailbox_post(struct mailbox *box, struct mail *mail);

#endif /* COMMON_MAILBOX_H */
