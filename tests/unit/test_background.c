/* client/background: work beside the loop; what nobody waits for any more. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/background.h"

struct world {
	struct loop	*loop;
	struct background *background;
	int		 n_done, wanted;
};

struct job {
	struct background_work work;
	sem_t		*go;		/* run waits for it; NULL: at once */
	sem_t		*dropped;
	pthread_t	 ran_in;
};

static struct job *
job_of(struct background_work *work)
{
	return (struct job *)(void *)work;
}

static void
run(struct background_work *work)
{
	struct job *job = job_of(work);

	if (job->go != NULL)
		sem_wait(job->go);
	job->ran_in = pthread_self();
}

static void
done(struct background_work *work, void *arg)
{
	struct world *w = arg;

	assert_false(pthread_equal(job_of(work)->ran_in, pthread_self()));
	free(work);
	if (++w->n_done == w->wanted)
		loop_stop(w->loop);
}

static void
drop(struct background_work *work)
{
	sem_t *dropped = job_of(work)->dropped;

	free(work);
	sem_post(dropped);
}

static struct job *
make(sem_t *go, sem_t *dropped)
{
	struct job *job = calloc(1, sizeof(*job));

	assert_non_null(job);
	job->work = (struct background_work){ .run = run, .done = done, .drop = drop };
	job->go = go;
	job->dropped = dropped;
	return job;
}

static void
begin(struct world *w, int wanted)
{
	struct err err;

	*w = (struct world){ .wanted = wanted };
	w->loop = loop_new(&err);
	assert_non_null(w->loop);
	w->background = background_new(w->loop, w, &err);
	assert_non_null(w->background);
}

static void
start(struct world *w, struct job *job)
{
	struct err err;

	assert_int_equal(background_start(w->background, &job->work, &err), E_OK);
}

static void
each_work_is_done_once_in_the_loop(void **state)
{
	enum { N = 50 };
	struct world w;
	struct err err;
	sem_t dropped;

	(void)state;
	sem_init(&dropped, 0, 0);
	begin(&w, N);
	for (int i = 0; i < N; i++)
		start(&w, make(NULL, &dropped));
	assert_int_equal(loop_run(w.loop, &err), E_OK);
	assert_int_equal(w.n_done, N);
	background_free(w.background);
	loop_free(w.loop);
	assert_int_not_equal(sem_trywait(&dropped), 0);
	sem_destroy(&dropped);
}

static void
go_on(void *arg)
{
	sem_post(arg);
}

static void
the_loop_turns_while_work_runs(void **state)
{
	struct loop_timer *timer;
	struct world w;
	struct err err;
	sem_t go, dropped;

	(void)state;
	sem_init(&go, 0, 0);
	sem_init(&dropped, 0, 0);
	begin(&w, 1);
	timer = loop_timer_new(w.loop, go_on, &go);
	assert_non_null(timer);
	loop_timer_set(timer, 0);
	start(&w, make(&go, &dropped));
	assert_int_equal(loop_run(w.loop, &err), E_OK);
	assert_int_equal(w.n_done, 1);
	loop_timer_free(timer);
	background_free(w.background);
	loop_free(w.loop);
	sem_destroy(&go);
	sem_destroy(&dropped);
}

static void
what_runs_still_is_dropped_by_its_thread(void **state)
{
	struct world w;
	sem_t go, dropped;

	(void)state;
	sem_init(&go, 0, 0);
	sem_init(&dropped, 0, 0);
	begin(&w, 1);
	start(&w, make(&go, &dropped));
	start(&w, make(&go, &dropped));
	background_free(w.background);
	loop_free(w.loop);
	assert_int_not_equal(sem_trywait(&dropped), 0);
	sem_post(&go);
	sem_post(&go);
	sem_wait(&dropped);
	sem_wait(&dropped);
	assert_int_equal(w.n_done, 0);
	sem_destroy(&go);
	sem_destroy(&dropped);
}

static void
what_nobody_took_is_dropped(void **state)
{
	struct world w;
	sem_t dropped;

	(void)state;
	sem_init(&dropped, 0, 0);
	begin(&w, 1);
	for (int i = 0; i < 20; i++)
		start(&w, make(NULL, &dropped));
	background_free(w.background);
	for (int i = 0; i < 20; i++)
		sem_wait(&dropped);
	loop_free(w.loop);
	assert_int_equal(w.n_done, 0);
	sem_destroy(&dropped);
	background_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_work_is_done_once_in_the_loop),
		cmocka_unit_test(the_loop_turns_while_work_runs),
		cmocka_unit_test(what_runs_still_is_dropped_by_its_thread),
		cmocka_unit_test(what_nobody_took_is_dropped),
	};

	return cmocka_run_group_tests_name("client/background", tests, NULL, NULL);
}
