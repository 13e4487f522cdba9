#include "client/arrival.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>

#include "common/bpf_headers.h"
#include "common/bytes.h"
#include "common/link_type.h"

enum {
	TAG_AT = 12,		/* behind the addresses */
	TAG_LEN = 4,
	SLL_PROTOCOL_AT = 14,
};

void
arrival_view(const struct packet_ref *packet, uint32_t ifindex, struct bpf_aux *aux,
    struct bpf_view *view)
{
	*aux = (struct bpf_aux){
		.packet_type = packet->meta.type,
		.ifindex = ifindex,
	};
	*view = (struct bpf_view){
		.data = packet->data,
		.caplen = packet->meta.captured_len,
		.len = packet->meta.original_len,
		.aux = aux,
	};
}

/* The kernel takes off one tag of these two types, on receipt only. */
static bool
has_tag(uint32_t link_type, const struct bpf_aux *aux, const struct bpf_view *view)
{
	uint16_t type;

	if (!link_type_is_ethernet(link_type) || aux->packet_type == PACKET_OUTGOING ||
	    view->caplen < TAG_AT + TAG_LEN)
		return false;
	type = get_be16(view->data + TAG_AT);
	return type == ETH_P_8021Q || type == ETH_P_8021AD;
}

uint32_t
arrival_untag(uint32_t link_type, uint8_t buf[static ARRIVAL_BUF_LEN],
    struct bpf_aux *aux, struct bpf_view *view)
{
	const uint8_t *data = view->data;

	if (!has_tag(link_type, aux, view))
		return 0;
	aux->has_vlan = true;
	aux->vlan_tpid = get_be16(data + TAG_AT);
	aux->vlan_tci = get_be16(data + TAG_AT + 2);
	view->caplen -= TAG_LEN;
	view->len -= TAG_LEN;
	memcpy(buf, data, TAG_AT);
	memcpy(buf + TAG_AT, data + TAG_AT + TAG_LEN, view->caplen - TAG_AT);
	view->data = buf;
	return TAG_LEN;
}

/* --- cutting --- */

struct arrival {
	uint32_t	 snaplen;
	uint32_t	 made_len;	/* of the header that a cooked packet got */
	uint32_t	 protocol_at;	/* where that header has the protocol */
	uint32_t	 n_insns;	/* 0: only the snapshot length cuts */
	struct bpf_insn_raw insns[];	/* answers how many bytes to keep */
};

static struct arrival *
make(uint32_t link_type, uint32_t snaplen, const struct bpf_prog *headers)
{
	struct arrival *a = malloc(sizeof(*a) + headers->n * sizeof(a->insns[0]));

	if (a == NULL)
		return NULL;
	a->snaplen = snaplen;
	a->made_len = (uint32_t)link_type_made_header(link_type);
	a->protocol_at = link_type == LINK_SLL ? SLL_PROTOCOL_AT : 0;
	a->n_insns = headers->n;
	memcpy(a->insns, headers->insns, headers->n * sizeof(a->insns[0]));
	return a;
}

static int
headers_of(uint32_t link_type, struct bpf_prog *ret_prog, struct err *err)
{
	/* Both kinds of cooked packets are the same behind their header. */
	uint32_t known = link_type == LINK_SLL ? LINK_SLL2 : link_type;
	int code = bpf_headers_program(known, PROTO_MAX_SNAPLEN, ret_prog);
	char link[LINK_TYPE_TEXT_LEN];

	if (code == E_OK)
		return E_OK;
	link_type_text(link_type, link, sizeof(link));
	return err_set(err, code, "--headers-only: the headers of %s are not known", link);
}

int
arrival_new(uint32_t link_type, uint32_t snaplen, bool headers_only,
    struct arrival **ret_arrival, struct err *err)
{
	struct bpf_prog *headers = calloc(1, sizeof(*headers));
	struct arrival *a = NULL;
	int code = E_OK;

	if (headers != NULL && headers_only)
		code = headers_of(link_type, headers, err);
	if (headers != NULL && code == E_OK)
		a = make(link_type, snaplen, headers);
	free(headers);
	if (code != E_OK)
		return code;
	if (a == NULL)
		return err_set(err, E_NOMEM, "capture: filter on arrival: out of memory");
	*ret_arrival = a;
	return E_OK;
}

void
arrival_free(struct arrival *arrival)
{
	free(arrival);
}

/* Where the headers end; the header of a cooked packet is all kept. */
static uint32_t
end_of_headers(const struct arrival *a, const struct packet_ref *packet)
{
	struct bpf_aux aux;
	struct bpf_view v;
	uint32_t keep;

	arrival_view(packet, 0, &aux, &v);
	if (v.caplen < a->made_len || v.len < a->made_len)
		return v.caplen;
	if (a->made_len > 0)
		aux.protocol = get_be16(v.data + a->protocol_at);
	keep = bpf_prog_run(a->insns, a->n_insns, v.data + a->made_len,
	    v.caplen - a->made_len, v.len - a->made_len, &aux);
	/* The agent cut it inside its headers, which the program cannot see. */
	return keep == 0 ? v.caplen : a->made_len + keep;
}

uint32_t
arrival_keep(const struct arrival *a, const struct packet_ref *packet)
{
	uint32_t keep = packet->meta.captured_len, end;

	if (keep > a->snaplen)
		keep = a->snaplen;
	if (a->n_insns == 0)
		return keep;
	end = end_of_headers(a, packet);
	return end < keep ? end : keep;
}
