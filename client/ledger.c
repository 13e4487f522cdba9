#include "client/ledger.h"

#include <stdlib.h>
#include <string.h>

int
ledger_init(struct ledger *l, uint32_t n_interfaces)
{
	memset(l, 0, sizeof(*l));
	l->agent = calloc(n_interfaces, sizeof(*l->agent));
	l->written = calloc(n_interfaces, sizeof(*l->written));
	if (l->agent == NULL || l->written == NULL) {
		ledger_fini(l);
		return E_NOMEM;
	}
	l->n_interfaces = n_interfaces;
	return E_OK;
}

void
ledger_fini(struct ledger *l)
{
	free(l->agent);
	free(l->written);
	memset(l, 0, sizeof(*l));
}

void
ledger_set_agent(struct ledger *l, const struct msg_stats *stats, bool is_final)
{
	memcpy(l->agent, stats->interfaces,
	    l->n_interfaces * sizeof(*l->agent));
	l->is_final = is_final;
}

uint64_t
ledger_written(const struct ledger *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->n_interfaces; i++)
		sum += l->written[i];
	return sum - l->unwritten;
}

void
ledger_take_back(struct ledger *l, uint64_t n, enum ledger_fate fate)
{
	l->unwritten += n;
	switch (fate) {
	case LEDGER_LOST:
		l->lost_output += n;
		return;
	case LEDGER_UNWANTED:
		l->beyond_count += n;
		return;
	}
}

int
ledger_check(const struct ledger *l, struct err *err)
{
	uint64_t batched = 0, came;

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		const struct msg_interface_stats *a = &l->agent[i];

		batched += a->batched;
		if (a->received != a->dropped_kernel + a->dropped_agent + a->batched)
			return err_set(err, E_BUG, "ledger: interface %u: %llu "
			    "received by filter, but %llu dropped by kernel, %llu "
			    "in the agent and %llu sent", i,
			    (unsigned long long)a->received,
			    (unsigned long long)a->dropped_kernel,
			    (unsigned long long)a->dropped_agent,
			    (unsigned long long)a->batched);
	}
	came = ledger_written(l) + l->gap_packets + l->beyond_count +
	    l->lost_output;
	if (batched != came)
		return err_set(err, E_BUG, "ledger: the agent sent %llu packets, "
		    "but %llu were written or counted as lost",
		    (unsigned long long)batched, (unsigned long long)came);
	return E_OK;
}

void
ledger_summary(const struct ledger *l, struct ui_summary *ret_summary)
{
	struct ui_summary s = {
		.captured = ledger_written(l),
		.lost_buffer = l->gap_packets,
		.lost_output = l->lost_output,
		.beyond_count = l->beyond_count,
		.cut = l->cut,
	};
	uint64_t batched = 0, came;

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		s.received += l->agent[i].received;
		s.dropped_kernel += l->agent[i].dropped_kernel;
		s.dropped_interface += l->agent[i].dropped_interface;
		s.lost_agent += l->agent[i].dropped_agent;
		batched += l->agent[i].batched;
	}
	came = s.captured + s.lost_buffer + s.lost_output + s.beyond_count;
	/* The connection broke: what the agent last counted may be older. */
	if (!l->is_final) {
		if (batched > came)
			s.lost_connection = batched - came;
		if (s.received < came + s.dropped_kernel)
			s.received = came + s.dropped_kernel;
	}
	*ret_summary = s;
}
