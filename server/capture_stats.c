/*
 * capture_stats - what a capture counts, as the client gets it.
 */
#include "server/capture_int.h"

#include <stdlib.h>

#include "common/log.h"
#include "server/link_stats.h"

struct wall_ns
capture_wall(const struct capture *c)
{
	return c->clock_watch.wall != NULL ? c->clock_watch.wall() : clock_wall();
}

void
capture_read_stats(struct capture *c)
{
	for (uint32_t i = 0; i < c->n_rings; i++)
		if (c->rings[i]->state != CAPTURE_RING_CLOSED)
			(void)ring_read_stats(c->rings[i]->fd,
			    &c->rings[i]->stats, NULL);
}

/* A driver that was loaded anew counts from 0 again. */
static void
add_nic(struct capture_ring *r, uint64_t now)
{
	if (r->is_nic_known)
		r->nic_dropped += now >= r->nic_seen ? now - r->nic_seen : now;
	r->nic_seen = now;
	r->is_nic_known = true;
}

void
capture_read_nic(struct capture *c)
{
	struct link_stats *stats = link_stats_open();

	if (stats == NULL)
		return;			/* the next time, then */
	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct capture_ring *r = c->rings[i];
		uint64_t now;

		/* Other namespaces' come by capture_lost_by_adapter(). */
		if (r->state == CAPTURE_RING_OPEN && !r->is_elsewhere &&
		    link_stats_dropped(stats, r->ifindex, &now) == E_OK)
			add_nic(r, now);
	}
	link_stats_close(stats);
}

static struct msg_interface_stats
stats_of(const struct capture *c, const struct capture_ring *r)
{
	const struct ring *ring = &r->ring;
	uint64_t not_ours = ring->skipped + ring->rejected;
	uint64_t kept = ring->packets + not_ours + ring->uncertain;
	uint64_t got = r->stats.received - r->stats.dropped;

	/*
	 * Loopback's second copies are no packets, and what a filter rejects here
	 * was not received by it.  What the counters of a running capture are
	 * ahead of the ring is still in it; at the end it is lost.
	 */
	return (struct msg_interface_stats){
		.received = r->stats.received - not_ours,
		.dropped_kernel = r->stats.dropped,
		.dropped_interface = r->nic_dropped,
		.batched = ring->packets,
		.dropped_agent = (c->state >= CAPTURE_FLUSHING ||
		    r->state == CAPTURE_RING_CLOSED) && got > kept ?
		    got - kept : 0,
		.dropped_filter_change = ring->uncertain,
		.freezes = r->stats.freezes,
	};
}

int
capture_fill_stats(const struct capture *c, struct msg_stats *stats)
{
	uint32_t n = c->started.n_interfaces;

	stats->interfaces = calloc(n > 0 ? n : 1, sizeof(*stats->interfaces));
	if (stats->interfaces == NULL)
		return E_NOMEM;
	stats->n_interfaces = n;
	for (uint32_t i = 0; i < n; i++) {
		stats->interfaces[i] = stats_of(c, c->rings[i]);
		stats->interfaces[i].lost_packets = batch_log_lost_of(c->log, i);
	}
	stats->lost_packets = batch_log_lost_packets(c->log);
	stats->lost_bytes = batch_log_lost_bytes(c->log);
	return E_OK;
}

void
capture_log_end(const struct capture *c)
{
	uint64_t received = 0, dropped = 0;

	for (uint32_t i = 0; i < c->n_rings; i++) {
		struct msg_interface_stats s = stats_of(c, c->rings[i]);

		received += s.received;
		dropped += s.dropped_kernel;
	}
	log_info(LOG_CAPTURE, "ended%s%s: %llu packets received by filter, "
	    "%llu dropped by kernel, %llu put into batches, %llu lost in full "
	    "buffer", c->end_text[0] == '\0' ? "" : ": ", c->end_text,
	    (unsigned long long)received, (unsigned long long)dropped,
	    (unsigned long long)c->batched, (unsigned long long)
	    batch_log_lost_packets(c->log));
}
