/*
 * captures_turn - one interface's part in a change of filter: its program.
 *
 * captures_update.c says when; here is what is linked, in which form and in
 * which order.
 */
#ifndef SERVER_CAPTURES_TURN_H
#define SERVER_CAPTURES_TURN_H

#include "common/clock.h"
#include "server/captures_int.h"
#include "server/prologue.h"

/* An interface whose turn it is, or was, to get its new filter. */
struct captures_turn {
	uint32_t	 tap;
	bool		 is_bound;	/* only the kernel may judge its packets */
	uint32_t	 n_insns;	/* the old and the new, which are charged at once */
	enum filter_place old_place;
	bool		 old_one_copy;
};

/* A client's change of filters. */
struct captures_update {
	struct captures_entry *entry;
	struct msg	*msg;		/* owns the filters that are not in force */
	struct msg_start start;		/* entry's, with those that are wanted */
	struct capture_refilter *refilter;	/* what the capture's thread gets */
	struct priv_call_request *request;
	struct captures_turn *turns;
	uint32_t	 n_turns, at;
	struct captures_socket next;	/* of the turn's tap, as linked */
	struct prologue	 prologue;
	struct err	 no_room;	/* why it is not judged where it was linked for first */
	struct wall_ns	 begun;		/* the first attach */
	bool		 is_held, is_rolling_back;
};

/* The interface whose turn it is. */
struct captures_tap *captures_turn_tap(const struct captures_update *u);

/* Is it still one that gets a filter? */
bool captures_turn_is_due(const struct captures_tap *tap);

/* Link tap's filter, as u->start has it, in the best form there is: u->next. */
int captures_turn_link(struct captures_update *u, const struct captures_tap *tap,
    struct err *err) MUST_CHECK;

/* The old filter, in the form in which the kernel had it. */
int captures_turn_link_old(struct captures_update *u, struct err *err) MUST_CHECK;

/* After why the kernel did not take what is linked: something smaller? */
bool captures_turn_link_smaller(struct captures_update *u, const struct err *why);

/* Who judges a packet behind the kernel needs all of it: is that there?  E_FILTER. */
int captures_turn_check(const struct captures_update *u,
    const struct captures_tap *tap, struct err *err) MUST_CHECK;

/*
 * All turns, in the order in which to take them.  E_FILTER says for which
 * interface there is no program.
 */
int captures_turns_plan(struct captures_update *u, struct err *err) MUST_CHECK;

#endif /* SERVER_CAPTURES_TURN_H */
