#include "common/bpf_move_int.h"

#include <linux/filter.h>

#include "common/bpf_flow.h"

static uint32_t
size_of(uint16_t code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

static uint16_t
load_of(uint32_t size)
{
	return size == 4 ? BPF_LD | BPF_W | BPF_ABS :
	    size == 2 ? BPF_LD | BPF_H | BPF_ABS : BPF_LD | BPF_B | BPF_ABS;
}

/* --- one value from several places --- */

/* Bytes of a load that one instruction can fetch. */
struct piece {
	struct bpf_source source;	/* of its last byte; NONE: in the packet */
	uint32_t	 offset;	/* in the packet */
	uint32_t	 len;
};

static bool
is_in_zone(const struct bpf_move *move, uint32_t offset)
{
	return offset >= move->first && offset < move->end;
}

/* The longest piece that starts at offset and has at most max bytes. */
static int
next_piece(const struct bpf_move *move, uint32_t offset, uint32_t max, struct piece *ret_piece)
{
	struct piece p = { .offset = offset, .len = 1 };
	const struct bpf_source *first, *next;

	if (!is_in_zone(move, offset)) {
		if (offset >= move->end)
			p.offset -= bpf_move_gap(move);
		while (p.len < max && is_in_zone(move, offset + p.len) == false &&
		    (offset >= move->end) == (offset + p.len >= move->end))
			p.len++;
		if (p.len == 3)
			p.len = 2;
		*ret_piece = p;
		return E_OK;
	}
	first = &move->sources[offset - move->first];
	if (first->kind == BPF_SOURCE_NONE)
		return E_FILTER;
	for (; p.len < max && is_in_zone(move, offset + p.len); p.len++) {
		next = first + p.len;
		if (next->kind != first->kind || next->k != first->k ||
		    (next->kind == BPF_SOURCE_ANCILLARY &&
		    next->shift + 8 * p.len != first->shift))
			break;
	}
	p.source = first[p.len - 1];
	*ret_piece = p;
	return E_OK;
}

/* A = the bytes of the piece, which is not zero. */
static void
emit_piece(struct bpf_asm *a, const struct piece *p, bool is_whole)
{
	if (p->source.kind == BPF_SOURCE_NONE) {
		bpf_asm_insn(a, load_of(p->len), p->offset);
		return;
	}
	bpf_asm_insn(a, BPF_LD | BPF_W | BPF_ABS, p->source.k);
	if (p->source.shift > 0)
		bpf_asm_insn(a, BPF_ALU | BPF_RSH | BPF_K, p->source.shift);
	if (!is_whole && p->len < 4)
		bpf_asm_insn(a, BPF_ALU | BPF_AND | BPF_K, (1U << 8 * p->len) - 1);
}

/* Does the piece begin with the highest byte that its source has? */
static bool
starts_source(const struct bpf_move *move, uint32_t offset, const struct piece *p)
{
	const struct bpf_source *byte;

	if (p->source.kind != BPF_SOURCE_ANCILLARY)
		return true;
	if (offset == move->first)
		return true;
	byte = &move->sources[offset - move->first - 1];
	return byte->kind != BPF_SOURCE_ANCILLARY || byte->k != p->source.k;
}

struct pieces {
	unsigned	 n;
	struct {
		struct piece piece;
		uint32_t shift;		/* of its bytes in the value */
		bool	 is_whole;
	}		 at[4];
};

/* Take a load of size bytes apart; zero bytes need no piece. */
static int
find_pieces(const struct bpf_move *move, uint32_t offset, uint32_t size, struct pieces *ret)
{
	uint32_t done = 0;

	ret->n = 0;
	while (done < size) {
		struct piece p;

		if (next_piece(move, offset + done, size - done, &p) != E_OK)
			return E_FILTER;
		if (p.source.kind != BPF_SOURCE_ZERO) {
			ret->at[ret->n].piece = p;
			ret->at[ret->n].is_whole = starts_source(move, offset + done, &p);
			ret->at[ret->n].shift = 8 * (size - done - p.len);
			ret->n++;
		}
		done += p.len;
	}
	return E_OK;
}

/* A = the size bytes at offset of the file's packet; X is kept if it is live. */
static int
emit_value(struct bpf_rewrite *w, uint32_t offset, uint32_t size)
{
	struct pieces pieces;
	bool saves_x;

	if (find_pieces(w->move, offset, size, &pieces) != E_OK)
		return E_FILTER;
	if (pieces.n == 0)
		bpf_asm_insn(w->a, BPF_LD | BPF_IMM, 0);
	saves_x = pieces.n > 1 && (w->live_after & BPF_LIVE_X) != 0;
	if (saves_x && w->slot < 0)
		return E_FILTER;
	if (saves_x)
		bpf_asm_insn(w->a, BPF_STX, (uint32_t)w->slot);
	for (unsigned i = 0; i < pieces.n; i++) {
		if (i > 0)
			bpf_asm_insn(w->a, BPF_MISC | BPF_TAX, 0);
		emit_piece(w->a, &pieces.at[i].piece, pieces.at[i].is_whole);
		if (pieces.at[i].shift > 0)
			bpf_asm_insn(w->a, BPF_ALU | BPF_LSH | BPF_K, pieces.at[i].shift);
		if (i > 0)
			bpf_asm_insn(w->a, BPF_ALU | BPF_OR | BPF_X, 0);
	}
	if (saves_x)
		bpf_asm_insn(w->a, BPF_LDX | BPF_MEM, (uint32_t)w->slot);
	return E_OK;
}

/* --- instructions --- */

/* Keep A in the scratch word while emitting what computes X, if A is live. */
static int
save_a(const struct bpf_rewrite *w)
{
	if ((w->live_after & BPF_LIVE_A) == 0)
		return E_OK;
	if (w->slot < 0)
		return E_FILTER;
	bpf_asm_insn(w->a, BPF_ST, (uint32_t)w->slot);
	return E_OK;
}

static void
restore_a(const struct bpf_rewrite *w)
{
	if ((w->live_after & BPF_LIVE_A) != 0)
		bpf_asm_insn(w->a, BPF_LD | BPF_MEM, (uint32_t)w->slot);
}

/* Does a load of size bytes stay where it is? */
static bool
is_before(const struct bpf_move *move, uint32_t offset, uint32_t size)
{
	return offset >= NEGATIVE || offset + size <= move->first;
}

bool
bpf_rewrite_changes(const struct bpf_rewrite *w, size_t pc)
{
	const struct bpf_insn_raw *insn = &w->insns[pc];
	uint64_t last = (uint64_t)insn->k + w->max_x[pc];

	if (BPF_CLASS(insn->code) != BPF_LD && BPF_CLASS(insn->code) != BPF_LDX)
		return false;
	switch (BPF_MODE(insn->code)) {
	case BPF_LEN:
		return true;
	case BPF_ABS:
	case BPF_MSH:
		return !is_before(w->move, insn->k, size_of(insn->code));
	case BPF_IND:
		return (insn->k < NEGATIVE || last > UINT32_MAX) &&
		    last + size_of(insn->code) > w->move->first;
	default:
		return false;
	}
}

static int
rewrite_len(struct bpf_rewrite *w, uint16_t code)
{
	if (BPF_CLASS(code) == BPF_LDX && save_a(w) != E_OK)
		return E_FILTER;
	bpf_asm_insn(w->a, BPF_LD | BPF_W | BPF_LEN, 0);
	bpf_asm_insn(w->a, BPF_ALU | BPF_ADD | BPF_K, bpf_move_gap(w->move));
	if (BPF_CLASS(code) == BPF_LDX) {
		bpf_asm_insn(w->a, BPF_MISC | BPF_TAX, 0);
		restore_a(w);
	}
	return E_OK;
}

static int
rewrite_abs(struct bpf_rewrite *w, const struct bpf_insn_raw *insn)
{
	if (insn->k >= w->move->end) {
		bpf_asm_insn(w->a, insn->code, insn->k - bpf_move_gap(w->move));
		return E_OK;
	}
	return emit_value(w, insn->k, size_of(insn->code));
}

static int
rewrite_msh(struct bpf_rewrite *w, const struct bpf_insn_raw *insn)
{
	if (insn->k >= w->move->end) {
		bpf_asm_insn(w->a, insn->code, insn->k - bpf_move_gap(w->move));
		return E_OK;
	}
	if (save_a(w) != E_OK || emit_value(w, insn->k, 1) != E_OK)
		return E_FILTER;
	bpf_asm_insn(w->a, BPF_ALU | BPF_AND | BPF_K, 0xf);
	bpf_asm_insn(w->a, BPF_ALU | BPF_LSH | BPF_K, 2);
	bpf_asm_insn(w->a, BPF_MISC | BPF_TAX, 0);
	restore_a(w);
	return E_OK;
}

/*
 * A load at X + k, which is at most last, may fall on both sides: choose at
 * run time.  A is free, because the load is about to write it.
 */
static int
rewrite_ind_at_run_time(struct bpf_rewrite *w, const struct bpf_insn_raw *insn, uint64_t last)
{
	const struct bpf_move *move = w->move;
	uint32_t size = size_of(insn->code);
	/* The first offset at which the load takes a byte of the zone. */
	uint32_t low = move->first + 1 > size ? move->first + 1 - size : 0;
	bool wraps = last > UINT32_MAX;
	uint32_t from = !wraps && insn->k > low ? insn->k : low;
	uint32_t to = last < move->end ? (uint32_t)last + 1 : move->end;
	uint16_t as_is = bpf_asm_labels(w->a, 3);
	uint16_t moved = (uint16_t)(as_is + 1), end = (uint16_t)(as_is + 2);

	bpf_asm_insn(w->a, BPF_MISC | BPF_TXA, 0);
	bpf_asm_insn(w->a, BPF_ALU | BPF_ADD | BPF_K, insn->k);
	bpf_asm_if(w->a, BPF_JMP | BPF_JGE | BPF_K, NEGATIVE, as_is);
	bpf_asm_if(w->a, BPF_JMP | BPF_JGE | BPF_K, move->end, moved);
	if (low > 0)
		bpf_asm_unless(w->a, BPF_JMP | BPF_JGE | BPF_K, low, as_is);
	for (uint32_t offset = from; offset < to; offset++) {
		uint16_t next = bpf_asm_labels(w->a, 1);

		if (offset + 1 < to)
			bpf_asm_unless(w->a, BPF_JMP | BPF_JEQ | BPF_K, offset, next);
		if (emit_value(w, offset, size) != E_OK)
			return E_FILTER;
		bpf_asm_jump(w->a, end);
		bpf_asm_bind(w->a, next);
	}
	bpf_asm_bind(w->a, moved);
	bpf_asm_insn(w->a, insn->code, insn->k - bpf_move_gap(move));
	bpf_asm_jump(w->a, end);
	bpf_asm_bind(w->a, as_is);
	bpf_asm_insn(w->a, insn->code, insn->k);
	bpf_asm_bind(w->a, end);
	return E_OK;
}

static int
rewrite_ind(struct bpf_rewrite *w, const struct bpf_insn_raw *insn, uint32_t max_x)
{
	uint64_t last = (uint64_t)insn->k + max_x;

	if (insn->k >= w->move->end && last < NEGATIVE) {
		bpf_asm_insn(w->a, insn->code, insn->k - bpf_move_gap(w->move));
		return E_OK;
	}
	return rewrite_ind_at_run_time(w, insn, last);
}

int
bpf_rewrite_insn(struct bpf_rewrite *w, size_t pc, uint16_t base)
{
	const struct bpf_insn_raw *insn = &w->insns[pc];

	if (!bpf_rewrite_changes(w, pc)) {
		bpf_asm_copy(w->a, w->insns, pc, base);
		return E_OK;
	}
	w->live_after = bpf_flow_live_after(w->insns, pc, w->live);
	w->slot = bpf_flow_lowest_word(w->free_words[pc]);
	switch (BPF_MODE(insn->code)) {
	case BPF_LEN:
		return rewrite_len(w, insn->code);
	case BPF_ABS:
		return rewrite_abs(w, insn);
	case BPF_MSH:
		return rewrite_msh(w, insn);
	default:			/* BPF_IND */
		return rewrite_ind(w, insn, w->max_x[pc]);
	}
}

void
bpf_rewrite_init(struct bpf_rewrite *w, struct bpf_asm *a, const struct bpf_insn_raw *insns,
    size_t n, const struct bpf_move *move)
{
	w->a = a;
	w->move = move;
	w->insns = insns;
	bpf_flow_free_words(insns, n, w->free_words);
	bpf_flow_live(insns, n, w->live);
	bpf_flow_max_x(insns, n, w->max_x);
}

int
bpf_move_append(struct bpf_asm *a, const struct bpf_insn_raw *insns, size_t n,
    const struct bpf_move *move, bool *ret_is_changed)
{
	struct bpf_rewrite w;
	uint8_t reach[BPF_PROG_MAX];
	uint16_t base = bpf_asm_labels(a, n);
	bool is_changed = false;

	bpf_rewrite_init(&w, a, insns, n, move);
	bpf_reach(insns, n, &move->known, reach);
	for (size_t pc = 0; pc < n; pc++) {
		bpf_asm_bind(a, (uint16_t)(base + pc));
		if ((reach[pc] & BPF_REACHED) == 0)
			continue;
		is_changed |= bpf_rewrite_changes(&w, pc);
		if ((reach[pc] & BPF_ALWAYS_TRUE) != 0)
			bpf_asm_jump(a, (uint16_t)(base + pc + 1 + insns[pc].jt));
		else if ((reach[pc] & BPF_ALWAYS_FALSE) != 0)
			bpf_asm_jump(a, (uint16_t)(base + pc + 1 + insns[pc].jf));
		else if (bpf_rewrite_insn(&w, pc, base) != E_OK)
			return E_FILTER;
	}
	*ret_is_changed = is_changed;
	return E_OK;
}
