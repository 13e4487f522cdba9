/*
 * collect_lookup - where a sensor is now, before the next try to reach it.
 *
 * Its name may lead elsewhere by then, but where the line is gone the name
 * service often is, too, and takes many seconds to say so: it is waited for a
 * moment only, and what it says later is for the try after that.
 */
#include "client/collect_int.h"

#include <netdb.h>
#include <stdlib.h>

enum { WAIT_MS = 1000 };

struct lookup {
	struct background_work work;
	struct address	 address;
	struct addrinfo	*found;		/* NULL: nothing */
};

static struct lookup *
lookup_of(struct background_work *work)
{
	return (struct lookup *)(void *)work;
}

static void
run(struct background_work *work)
{
	struct lookup *l = lookup_of(work);

	if (sensor_lookup(&l->address, &l->found, NULL) != E_OK)
		l->found = NULL;
}

static void
drop(struct background_work *work)
{
	struct lookup *l = lookup_of(work);

	if (l->found != NULL)
		freeaddrinfo(l->found);
	free(l);
}

/* To the newest addresses that are known. */
static void
reconnect(struct collect *c)
{
	struct addrinfo *addresses = c->link.addresses;

	c->link.is_waiting = false;
	loop_timer_stop(c->link.lookup_timer);
	c->link.addresses = NULL;
	if (c->link.is_lost && c->state < COLLECT_FLUSHING)
		sensor_reconnect(c->sensor, addresses);
	else if (addresses != NULL)
		freeaddrinfo(addresses);
}

static void
done(struct background_work *work, void *arg)
{
	struct lookup *l = lookup_of(work);
	struct collect *c = arg;

	c->link.is_looking_up = false;
	if (l->found != NULL) {
		collect_forget_addresses(c);
		c->link.addresses = l->found;
		l->found = NULL;
	}
	drop(work);
	if (c->link.is_waiting)
		reconnect(c);
}

static int
start(struct collect *c)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return E_NOMEM;
	l->work = (struct background_work){ .run = run, .done = done, .drop = drop };
	l->address = c->opt->sensor;
	if (background_start(c->background, &l->work, NULL) != E_OK) {
		free(l);
		return E_NOMEM;
	}
	c->link.is_looking_up = true;
	return E_OK;
}

void
collect_reconnect(struct collect *c)
{
	/* One that still runs is of a try before. */
	if (c->link.is_looking_up || start(c) != E_OK) {
		reconnect(c);
		return;
	}
	c->link.is_waiting = true;
	loop_timer_set(c->link.lookup_timer, (int64_t)WAIT_MS * NS_PER_MS);
}

void
collect_on_lookup_timer(void *arg)
{
	struct collect *c = arg;

	if (c->link.is_waiting)
		reconnect(c);
}

void
collect_forget_addresses(struct collect *c)
{
	if (c->link.addresses != NULL)
		freeaddrinfo(c->link.addresses);
	c->link.addresses = NULL;
}
