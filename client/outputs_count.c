#include "client/outputs_int.h"

int
outputs_count_start(struct outputs_file *f, uint64_t *ret_first, struct err *err)
{
	if (runs_reserve(&f->runs) != E_OK)
		return err_set(err, E_NOMEM, "output: out of memory");
	*ret_first = outfile_blocks_submitted(f->out);
	return E_OK;
}

void
outputs_count_end(struct outputs_file *f, uint64_t first, uint32_t number)
{
	uint64_t n = outfile_blocks_submitted(f->out) - first;

	runs_push(&f->runs, number, n);
	if (number != OUTPUTS_NO_PACKET)
		f->owner->places[number].submitted += n;
}

void
outputs_settle(struct outputs_file *f)
{
	uint64_t blocks = outfile_blocks_written(f->out);

	while (f->n_settled < blocks) {
		uint32_t number = OUTPUTS_NO_PACKET;
		uint64_t n = runs_take(&f->runs, blocks - f->n_settled, &number);

		if (n == 0)
			return;
		f->n_settled += n;
		if (number != OUTPUTS_NO_PACKET)
			f->owner->places[number].written += n;
	}
}

void
outputs_unsettle(struct outputs_file *f)
{
	struct outputs *o = f->owner;

	for (uint32_t i = 0; i < o->n_places; i++)
		if (o->places[i].file != OUTPUTS_NOT_HELD && &o->file[o->places[i].file] == f)
			o->places[i].written = 0;
}

uint64_t
outputs_packets_written(const struct outputs *o)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < o->n_places; i++)
		sum += o->places[i].written;
	return sum;
}

void
outputs_unwritten(const struct outputs *o, uint64_t *by_interface, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		by_interface[i] = i < o->n_places ?
		    o->places[i].submitted - o->places[i].written : 0;
}
