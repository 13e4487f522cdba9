/*
 * arrival - what is done to a packet here that the sensor's kernel could not.
 *
 * Where the client filters, whole packets travel; this cuts them as the kernel
 * would have, behind their headers or at the snapshot length.  Pure.
 */
#ifndef CLIENT_ARRIVAL_H
#define CLIENT_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bpf.h"
#include "common/err.h"
#include "proto/batch.h"
#include "proto/limits.h"

enum { ARRIVAL_BUF_LEN = PROTO_MAX_SNAPLEN + PROTO_MAX_LINK_EXTRA };

/*
 * *view becomes the packet as the file has it, and aux what the kernel knew of
 * it besides.  Valid as long as packet and aux are.
 */
void arrival_view(const struct packet_ref *packet, uint32_t ifindex,
    struct bpf_aux *aux, struct bpf_view *view);

/*
 * Make of it what the kernel showed to a filter: the outer VLAN tag of a
 * received Ethernet frame moves from the bytes into aux, by way of buf.  How
 * many bytes that took away: 4 or 0.
 */
uint32_t arrival_untag(uint32_t link_type, uint8_t buf[static ARRIVAL_BUF_LEN],
    struct bpf_aux *aux, struct bpf_view *view);

struct arrival;		/* how the packets of one interface are cut */

/*
 * E_FILTER  headers_only: the headers of this link type are not known
 * E_NOMEM
 *
 * Release with arrival_free().
 */
int arrival_new(uint32_t link_type, uint32_t snaplen, bool headers_only,
    struct arrival **ret_arrival, struct err *err) MUST_CHECK;
void arrival_free(struct arrival *arrival);	/* NULL is allowed */

/*
 * How many of the packet's captured bytes are kept: at least 1, if there are
 * any.  For packets whose bytes are all there, up to the agent's own limit.
 */
uint32_t arrival_keep(const struct arrival *arrival, const struct packet_ref *packet);

#endif /* CLIENT_ARRIVAL_H */
