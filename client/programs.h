/*
 * programs - the user's filters, each as a program for every link type needed.
 *
 * The client does not know a remote interface's link type before it asks for
 * the capture, so the usual forms travel, and the agent says when it needs
 * another one.  What no kernel can run (a loop, too long) is kept here, and
 * packets are judged as they arrive.
 */
#ifndef CLIENT_PROGRAMS_H
#define CLIENT_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/options.h"
#include "common/err.h"
#include "proto/batch.h"
#include "proto/codec.h"

struct programs_filter;		/* what programs.c knows of one filter */

struct programs {
	/* For Start and UpdateFilter; [n], at options_interface.filter. */
	struct msg_filter *filters;
	uint32_t	 n;

	/* programs.c's own */
	struct programs_filter *known;	/* [n] */
	uint8_t		*buf;		/* for a packet without its tag */
	bool		 kernel_only;
};

/*
 * Compile every different filter of the options for Ethernet, raw IP and
 * cooked packets, as far as it fits them.  A filter that no kernel can run is
 * marked at_client and travels as a text.
 *
 * E_FILTER  with libpcap's message: it fits none of the three; or no kernel
 *           can run it, and --kernel-only
 * E_NOMEM, E_TOOBIG
 *
 * Release with programs_fini().  Blocks while names are looked up, and libpcap
 * takes seconds for hundreds of terms.
 */
int programs_init(struct programs *p, const struct options *options,
    struct err *err) MUST_CHECK;
void programs_fini(struct programs *p);

/*
 * Answer to NeedPrograms: compile for these link types too, where the
 * expressions fit them.  Afterwards p->filters goes into another Start.
 *
 * E_FILTER  with libpcap's message: for one of them no filter gained a program
 *           (so that asking again and again ends); --kernel-only as above
 * E_TOOBIG  more than PROTO_MAX_PROGRAMS link types
 * E_NOMEM
 */
int programs_need(struct programs *p, const uint32_t *link_types, uint32_t n,
    struct err *err) MUST_CHECK;

/* --- judging on arrival --- */

/*
 * Can programs_match() answer for this filter and link type?
 *
 * E_AGAIN   nobody asked libpcap yet: programs_work_new_form()
 * E_FILTER  with libpcap's message; E_TOOBIG: too many link types
 */
int programs_prepare(const struct programs *p, uint32_t filter, uint32_t link_type,
    struct err *err) MUST_CHECK;

/*
 * Does the packet, with its bytes as the file has them, match this filter?
 * Without exact_vlan the outer tag of a received packet is passed over, as live
 * tcpdump does.  ifindex is the kernel's number of its interface on the
 * sensor.  False where programs_prepare() does not say E_OK.
 */
bool programs_match(const struct programs *p, uint32_t filter, uint32_t link_type,
    uint32_t ifindex, const struct packet_ref *packet);

/*
 * Why this filter is at_client ("'protochain' needs a loop ..."), or NULL when
 * it is not.
 */
const char *programs_why_at_client(const struct programs *p, uint32_t filter);

/* Is this the filter of --filter-file? */
bool programs_is_from_file(const struct programs *p, uint32_t filter);

/* Would programs_need() have to ask libpcap for this? */
bool programs_lacks_form(const struct programs *p, uint32_t filter,
    uint32_t link_type);

/* --- libpcap beside the loop: programs_work.c --- */

/*
 * One expression for libpcap, with what it makes of it.  Shares nothing with
 * any struct programs, so that another thread can run it.
 */
struct programs_work;

/*
 * Read the options' --filter-file anew, for these link types and, with
 * is_open, for the usual ones that interfaces to come may have.  NULL with
 * E_STATE when there is no --filter-file, or E_NOMEM.
 */
struct programs_work *programs_work_new_file(const struct options *options,
    const uint32_t *link_types, uint32_t n, bool is_open, struct err *err);

/* One form of a filter of p.  NULL with E_NOMEM. */
struct programs_work *programs_work_new_form(const struct programs *p,
    uint32_t filter, uint32_t link_type, struct err *err);

/* In any thread; takes as long as libpcap does.  At most once. */
void programs_work_run(struct programs_work *work);

/*
 * Make *ret_new of p, with the filter that was read in its place.  p stays as
 * it is: packets from before the change are judged by it.  On failure *ret_new
 * is untouched; the codes of filter_read_file() and programs_init().
 */
int programs_work_take_file(const struct programs_work *work,
    const struct programs *p, struct programs *ret_new, struct err *err) MUST_CHECK;

/*
 * Let p have the form, or that libpcap refuses it; p is what it was made for,
 * or was made of that.  E_NOMEM, E_TOOBIG.
 */
int programs_work_take_form(const struct programs_work *work, struct programs *p,
    struct err *err) MUST_CHECK;

void programs_work_free(struct programs_work *work);	/* NULL is allowed */

#endif /* CLIENT_PROGRAMS_H */
