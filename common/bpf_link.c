#include "common/bpf_link.h"

#include <linux/filter.h>
#include <string.h>

#include "common/bpf_asm.h"
#include "common/bpf_flow.h"

static bool
is_ret(const struct bpf_insn_raw *insn)
{
	return BPF_CLASS(insn->code) == BPF_RET;
}

/* Copy a part, its accepting returns becoming jumps to next; the label of its start. */
static uint16_t
copy_to_next(struct bpf_asm *a, const struct bpf_prog *prog, uint16_t next)
{
	uint16_t base = bpf_asm_labels(a, prog->n);

	for (size_t pc = 0; pc < prog->n; pc++) {
		const struct bpf_insn_raw *insn = &prog->insns[pc];

		bpf_asm_bind(a, (uint16_t)(base + pc));
		if (!is_ret(insn)) {
			bpf_asm_copy(a, prog->insns, pc, base);
		} else if (BPF_RVAL(insn->code) == BPF_A) {
			bpf_asm_unless(a, BPF_JMP | BPF_JEQ | BPF_K, 0, next);
			bpf_asm_insn(a, BPF_RET | BPF_K, 0);
		} else if (insn->k == 0) {
			bpf_asm_insn(a, BPF_RET | BPF_K, 0);
		} else {
			bpf_asm_jump(a, next);
		}
	}
	return base;
}

/*
 * Copy a part that expects A and X to be 0, as the kernel leaves them; the
 * label of its first instruction, which the zeroing precedes.
 */
static uint16_t
copy_from_start(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t n)
{
	uint16_t live[BPF_PROG_MAX];
	uint16_t base = bpf_asm_labels(a, n);

	bpf_flow_live(insns, n, live);
	if ((live[0] & BPF_LIVE_A) != 0)
		bpf_asm_insn(a, BPF_LD | BPF_IMM, 0);
	if ((live[0] & BPF_LIVE_X) != 0)
		bpf_asm_insn(a, BPF_LDX | BPF_IMM, 0);
	for (size_t pc = 0; pc < n; pc++) {
		bpf_asm_bind(a, (uint16_t)(base + pc));
		bpf_asm_copy(a, insns, pc, base);
	}
	return base;
}

/* Both sets as labels, for bpf_asm_finish_places(). */
static size_t
label_marks(const struct bpf_marks *marks, uint16_t base, uint32_t *places)
{
	for (uint32_t i = 0; i < marks->n; i++)
		places[i] = base + marks->at[i].first;
	return marks->n;
}

static void
move_marks(struct bpf_marks *marks, const uint32_t *places)
{
	for (uint32_t i = 0; i < marks->n; i++)
		marks->at[i].first = places[i];
}

static void
join_marks(struct bpf_marks *marks, const struct bpf_marks *more)
{
	memcpy(&marks->at[marks->n], more->at, more->n * sizeof(more->at[0]));
	marks->n += more->n;
}

static const struct bpf_marks no_marks;

static int
append(struct bpf_prog *prog, struct bpf_marks *marks, const struct bpf_insn_raw *part, size_t n,
    const struct bpf_marks *part_marks)
{
	struct bpf_asm a;
	uint16_t next, old, new;
	uint32_t places[2 * BPF_MARKS_MAX];
	size_t n_places;
	int code;

	if (prog->n == 0) {
		prog->n = (uint32_t)n;
		memcpy(prog->insns, part, n * sizeof(part[0]));
		marks->n = 0;
		join_marks(marks, part_marks);
		return E_OK;
	}
	if (marks->n + part_marks->n > BPF_MARKS_MAX)
		return E_TOOBIG;
	bpf_asm_init(&a);
	next = bpf_asm_labels(&a, 1);
	old = copy_to_next(&a, prog, next);
	bpf_asm_bind(&a, next);
	new = copy_from_start(&a, part, n);
	n_places = label_marks(marks, old, places);
	n_places += label_marks(part_marks, new, places + n_places);
	/* Whatever empties the registers belongs to the part. */
	for (size_t i = marks->n; i < n_places; i++)
		if (places[i] == new)
			places[i] = next;
	code = bpf_asm_finish_places(&a, prog, places, n_places);
	if (code != E_OK)
		return code;
	join_marks(marks, part_marks);
	move_marks(marks, places);
	return E_OK;
}

int
bpf_link_append(struct bpf_prog *prog, const struct bpf_insn_raw *part, size_t n)
{
	struct bpf_marks none = { .n = 0 };

	return append(prog, &none, part, n, &no_marks);
}

int
bpf_link_append_marked(struct bpf_prog *prog, struct bpf_marks *marks, const struct bpf_prog *part,
    const struct bpf_marks *part_marks)
{
	return append(prog, marks, part->insns, part->n, part_marks);
}

static uint16_t
copy_capped(struct bpf_asm *a, const struct bpf_prog *prog, uint32_t max)
{
	uint16_t base = bpf_asm_labels(a, prog->n);

	for (size_t pc = 0; pc < prog->n; pc++) {
		const struct bpf_insn_raw *insn = &prog->insns[pc];
		uint16_t keep;

		bpf_asm_bind(a, (uint16_t)(base + pc));
		if (!is_ret(insn)) {
			bpf_asm_copy(a, prog->insns, pc, base);
		} else if (BPF_RVAL(insn->code) == BPF_A) {
			keep = bpf_asm_labels(a, 1);
			bpf_asm_unless(a, BPF_JMP | BPF_JGT | BPF_K, max, keep);
			bpf_asm_insn(a, BPF_RET | BPF_K, max);
			bpf_asm_bind(a, keep);
			bpf_asm_insn(a, BPF_RET | BPF_A, 0);
		} else {
			bpf_asm_insn(a, BPF_RET | BPF_K, insn->k < max ? insn->k : max);
		}
	}
	return base;
}

int
bpf_link_cap_marked(struct bpf_prog *prog, struct bpf_marks *marks, uint32_t max)
{
	struct bpf_asm a;
	uint32_t places[BPF_MARKS_MAX];
	uint16_t base;
	int code;

	bpf_asm_init(&a);
	base = copy_capped(&a, prog, max);
	code = bpf_asm_finish_places(&a, prog, places, label_marks(marks, base, places));
	if (code == E_OK)
		move_marks(marks, places);
	return code;
}

int
bpf_link_cap(struct bpf_prog *prog, uint32_t max)
{
	struct bpf_marks none = { .n = 0 };

	return bpf_link_cap_marked(prog, &none, max);
}

/* --- arithmetic --- */

#define NEGATIVE	0x80000000U	/* offsets from here on are not in the data */

static bool
is_long_shift(const struct bpf_insn_raw *insn, uint32_t max_x)
{
	return (insn->code == (BPF_ALU | BPF_LSH | BPF_X) ||
	    insn->code == (BPF_ALU | BPF_RSH | BPF_X)) && max_x >= 32;
}

/* A is kept in the scratch word while X, which only A compares, is looked at. */
static int
emit_shift(struct bpf_asm *a, uint16_t code, int slot)
{
	uint16_t nothing = bpf_asm_labels(a, 2), end = (uint16_t)(nothing + 1);

	if (slot < 0)
		return E_FILTER;
	bpf_asm_insn(a, BPF_ST, (uint32_t)slot);
	bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_if(a, BPF_JMP | BPF_JGE | BPF_K, 32, nothing);
	bpf_asm_insn(a, BPF_LD | BPF_MEM, (uint32_t)slot);
	bpf_asm_insn(a, code, 0);
	bpf_asm_jump(a, end);
	bpf_asm_bind(a, nothing);
	bpf_asm_insn(a, BPF_LD | BPF_IMM, 0);
	bpf_asm_bind(a, end);
	return E_OK;
}

static bool
is_wild_load(const struct bpf_insn_raw *insn, uint32_t max_x)
{
	return BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_IND &&
	    (uint64_t)insn->k + max_x >= NEGATIVE;
}

/* A is free, because the load is about to write it. */
static void
emit_load(struct bpf_asm *a, const struct bpf_insn_raw *insn)
{
	uint16_t inside = bpf_asm_labels(a, 1);

	if (insn->k >= NEGATIVE) {
		bpf_asm_insn(a, BPF_RET | BPF_K, 0);
		return;
	}
	bpf_asm_insn(a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_unless(a, BPF_JMP | BPF_JGE | BPF_K, NEGATIVE - insn->k, inside);
	bpf_asm_insn(a, BPF_RET | BPF_K, 0);
	bpf_asm_bind(a, inside);
	bpf_asm_insn(a, insn->code, insn->k);
}

int
bpf_link_offline(struct bpf_prog *prog)
{
	int code = E_OK;
	uint16_t free_words[BPF_PROG_MAX];
	uint32_t max_x[BPF_PROG_MAX];
	bool is_changed = false;
	struct bpf_asm a;
	uint16_t base;

	bpf_flow_free_words(prog->insns, prog->n, free_words);
	bpf_flow_max_x(prog->insns, prog->n, max_x);
	bpf_asm_init(&a);
	base = bpf_asm_labels(&a, prog->n);
	for (size_t pc = 0; pc < prog->n && code == E_OK; pc++) {
		const struct bpf_insn_raw *insn = &prog->insns[pc];
		bool is_shift = is_long_shift(insn, max_x[pc]);
		bool is_load = is_wild_load(insn, max_x[pc]);

		bpf_asm_bind(&a, (uint16_t)(base + pc));
		if (is_shift)
			code = emit_shift(&a, insn->code, bpf_flow_lowest_word(free_words[pc]));
		else if (is_load)
			emit_load(&a, insn);
		else
			bpf_asm_copy(&a, prog->insns, pc, base);
		is_changed |= is_shift || is_load;
	}
	return code == E_OK && is_changed ? bpf_asm_finish(&a, prog) : code;
}

void
bpf_link_return(struct bpf_prog *prog, uint32_t k)
{
	prog->n = 1;
	prog->insns[0] = (struct bpf_insn_raw){ .code = BPF_RET | BPF_K, .k = k };
}
