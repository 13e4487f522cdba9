/* common/mailbox: messages cross threads once each and in order. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mailbox.h"

enum { N_SENDERS = 4, N_MESSAGES = 5000 };

struct letter {
	struct mail	 mail;
	int		 sender, number;
};

struct world {
	struct loop	*loop;
	struct mailbox	*box;
	struct mailbox	*answers;	/* of the other thread */
	int		 next[N_SENDERS];
	int		 total, wanted;
};

static void
too_late(void *arg)
{
	(void)arg;
	abort();		/* nothing else ends the senders */
}

static struct letter *
write_letter(int sender, int number)
{
	struct letter *letter = malloc(sizeof(*letter));

	if (letter == NULL)
		abort();
	*letter = (struct letter){ .sender = sender, .number = number };
	return letter;
}

static void
take(struct mail *mail, void *arg)
{
	struct letter *letter = (struct letter *)(void *)mail;
	struct world *w = arg;

	assert_int_equal(letter->number, w->next[letter->sender]);
	w->next[letter->sender]++;
	free(letter);
	if (++w->total == w->wanted)
		loop_stop(w->loop);
}

static void
open_world(struct world *w, mailbox_fn fn)
{
	struct err err;

	*w = (struct world){ 0 };
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	w->box = mailbox_new(w->loop, fn, w, &err);
	assert_non_null(w->box);
}

static void
run(struct world *w)
{
	struct loop_timer *guard = loop_timer_new(w->loop, too_late, NULL);
	struct err err;

	loop_timer_set(guard, 60 * (int64_t)NS_PER_S);
	assert_int_equal(loop_run(w->loop, &err), E_OK);
	loop_timer_free(guard);
}

static void
close_world(struct world *w)
{
	mailbox_free(w->box, NULL);
	loop_free(w->loop);
}

struct sender {
	pthread_t	 thread;
	struct mailbox	*box;
	int		 number;
};

static void *
send_many(void *arg)
{
	struct sender *s = arg;

	for (int i = 0; i < N_MESSAGES; i++)
		mailbox_post(s->box, &write_letter(s->number, i)->mail);
	return NULL;
}

static void
messages_of_each_of_many_threads_arrive_in_order(void **state)
{
	struct sender senders[N_SENDERS];
	struct world w;

	(void)state;
	open_world(&w, take);
	w.wanted = N_SENDERS * N_MESSAGES;
	for (int i = 0; i < N_SENDERS; i++) {
		senders[i] = (struct sender){ .box = w.box, .number = i };
		assert_int_equal(pthread_create(&senders[i].thread, NULL,
		    send_many, &senders[i]), 0);
	}
	run(&w);
	for (int i = 0; i < N_SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	assert_int_equal(w.total, w.wanted);
	close_world(&w);
}

/* --- two loops that answer each other --- */

static void
bounce(struct mail *mail, void *arg)
{
	struct world *w = arg;

	mailbox_post(w->answers, mail);
	if (++w->total == N_MESSAGES)
		loop_stop(w->loop);
}

static void *
run_bouncer(void *arg)
{
	struct world *w = arg;
	struct err err;

	if (loop_run(w->loop, &err) != E_OK)
		abort();
	return NULL;
}

static void
send_next(struct mail *mail, void *arg)
{
	struct letter *letter = (struct letter *)(void *)mail;
	struct world *w = arg;

	w->total++;
	if (w->total == N_MESSAGES) {
		free(letter);
		loop_stop(w->loop);
		return;
	}
	letter->number++;
	mailbox_post(w->answers, mail);
}

static void
one_message_goes_back_and_forth_between_two_loops(void **state)
{
	struct letter *letter = write_letter(0, 1);
	struct world here, there;
	pthread_t thread;

	(void)state;
	open_world(&here, send_next);
	open_world(&there, bounce);
	here.answers = there.box;
	there.answers = here.box;
	assert_int_equal(pthread_create(&thread, NULL, run_bouncer, &there), 0);
	mailbox_post(there.box, &letter->mail);
	run(&here);
	pthread_join(thread, NULL);
	assert_int_equal(here.total, N_MESSAGES);
	assert_int_equal(there.total, N_MESSAGES);
	close_world(&there);
	close_world(&here);
}

/* --- from inside --- */

static void
post_to_itself(struct mail *mail, void *arg)
{
	struct letter *letter = (struct letter *)(void *)mail;
	struct world *w = arg;

	assert_int_equal(letter->number, w->total++);
	if (letter->number < 9)
		mailbox_post(w->box, &write_letter(0, letter->number + 1)->mail);
	else
		loop_stop(w->loop);
	free(letter);
}

static void
a_message_posted_while_one_is_delivered_comes_too(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, post_to_itself);
	mailbox_post(w.box, &write_letter(0, 0)->mail);
	run(&w);
	assert_int_equal(w.total, 10);
	close_world(&w);
}

static int n_dropped;

static void
drop(struct mail *mail)
{
	struct letter *letter = (struct letter *)(void *)mail;

	assert_int_equal(letter->number, n_dropped++);
	free(letter);
}

static void
what_was_not_taken_is_dropped_in_order_with_the_box(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, take);
	for (int i = 0; i < 3; i++)
		mailbox_post(w.box, &write_letter(0, i)->mail);
	mailbox_free(w.box, drop);
	mailbox_free(NULL, NULL);
	loop_free(w.loop);
	assert_int_equal(n_dropped, 3);
	assert_int_equal(w.total, 0);
}

static void
free_the_box(struct mail *mail, void *arg)
{
	struct world *w = arg;

	assert_int_equal(n_dropped, 0);
	drop(mail);
	mailbox_free(w->box, drop);
	w->box = NULL;
	loop_stop(w->loop);
}

static void
the_box_may_be_freed_by_the_one_who_takes_a_message(void **state)
{
	struct world w;

	(void)state;
	n_dropped = 0;
	open_world(&w, free_the_box);
	for (int i = 0; i < 3; i++)
		mailbox_post(w.box, &write_letter(0, i)->mail);
	run(&w);
	assert_int_equal(n_dropped, 3);
	close_world(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_each_of_many_threads_arrive_in_order),
		cmocka_unit_test(one_message_goes_back_and_forth_between_two_loops),
		cmocka_unit_test(a_message_posted_while_one_is_delivered_comes_too),
		cmocka_unit_test(what_was_not_taken_is_dropped_in_order_with_the_box),
		cmocka_unit_test(the_box_may_be_freed_by_the_one_who_takes_a_message),
	};

	return cmocka_run_group_tests_name("common/mailbox", tests, NULL, NULL);
}
