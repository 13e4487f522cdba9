#include "client/ledger.h"

#include <stdlib.h>
#include <string.h>

int
ledger_init(struct ledger *l, uint32_t n_interfaces)
{
	memset(l, 0, sizeof(*l));
	l->agent = calloc(n_interfaces, sizeof(*l->agent));
	l->written = calloc(n_interfaces, sizeof(*l->written));
	l->filtered = calloc(n_interfaces, sizeof(*l->filtered));
	if (l->agent == NULL || l->written == NULL || l->filtered == NULL) {
		ledger_fini(l);
		return E_NOMEM;
	}
	l->n_interfaces = n_interfaces;
	return E_OK;
}

/* One element more in *array, zero. */
static int
grow(void *array, size_t n, size_t size)
{
	char *old, *more;

	memcpy(&old, array, sizeof(old));
	more = realloc(old, (n + 1) * size);
	if (more == NULL)
		return E_NOMEM;
	memset(more + n * size, 0, size);
	memcpy(array, &more, sizeof(more));
	return E_OK;
}

int
ledger_add_interface(struct ledger *l)
{
	if (grow(&l->agent, l->n_interfaces, sizeof(*l->agent)) != E_OK ||
	    grow(&l->written, l->n_interfaces, sizeof(*l->written)) != E_OK ||
	    grow(&l->filtered, l->n_interfaces, sizeof(*l->filtered)) != E_OK)
		return E_NOMEM;
	l->n_interfaces++;
	return E_OK;
}

void
ledger_fini(struct ledger *l)
{
	free(l->agent);
	free(l->written);
	free(l->filtered);
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

static uint64_t
sum_filtered(const struct ledger *l)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < l->n_interfaces; i++)
		sum += l->filtered[i];
	return sum;
}

/* Everything that was batched, by what became of it here. */
static uint64_t
sum_came(const struct ledger *l)
{
	return ledger_written(l) + l->gap_packets + sum_filtered(l) +
	    l->beyond_count + l->lost_output + l->not_held;
}

int
ledger_check(const struct ledger *l, struct err *err)
{
	uint64_t batched = 0, came = sum_came(l);

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		const struct msg_interface_stats *a = &l->agent[i];

		batched += a->batched;
		if (a->received != a->dropped_kernel + a->dropped_agent +
		    a->dropped_filter_change + a->batched)
			return err_set(err, E_BUG, "ledger: interface %u: %llu "
			    "received by filter, but %llu dropped by kernel, %llu "
			    "in the agent, %llu at filter changes and %llu sent", i,
			    (unsigned long long)a->received,
			    (unsigned long long)a->dropped_kernel,
			    (unsigned long long)a->dropped_agent,
			    (unsigned long long)a->dropped_filter_change,
			    (unsigned long long)a->batched);
	}
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
		.lost_format = l->not_held,
		.beyond_count = l->beyond_count,
		.filtered = sum_filtered(l),
		.cut = l->cut,
	};
	uint64_t batched = 0, came = sum_came(l);

	for (uint32_t i = 0; i < l->n_interfaces; i++) {
		s.received += l->agent[i].received;
		s.dropped_kernel += l->agent[i].dropped_kernel;
		s.dropped_interface += l->agent[i].dropped_interface;
		s.lost_agent += l->agent[i].dropped_agent;
		s.lost_change += l->agent[i].dropped_filter_change;
		s.freezes += l->agent[i].freezes;
		batched += l->agent[i].batched;
	}
	/* The connection broke: what the agent last counted may be older. */
	if (!l->is_final) {
		if (batched > came)
			s.lost_connection = batched - came;
		if (s.received < came + s.dropped_kernel)
			s.received = came + s.dropped_kernel;
	}
	*ret_summary = s;
}
