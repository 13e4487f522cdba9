/*
 * wanted_socket - a socket's configuration out of the request it belongs to.
 */
#include "server/wanted.h"

#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <linux/if_arp.h>

#include "common/link_type.h"
#include "server/captures.h"
#include "server/net.h"
#include "server/prologue.h"

static const struct msg_filter *
filter_of(const struct msg_start *start, uint32_t request)
{
	return &start->filters[start->interfaces[request].filter];
}

static const struct msg_program *
program_of(const struct msg_filter *filter, uint32_t link_type)
{
	for (uint32_t i = 0; i < filter->n_programs; i++)
		if (filter->programs[i].link_type == link_type)
			return &filter->programs[i];
	return NULL;
}

/* "EN10MB, LINUX_SLL2, LINUX_SLL" */
static void
list_choices(const struct link_choice *choices, size_t n, char *dst, size_t size)
{
	size_t len = 0;
	char name[64];

	dst[0] = '\0';
	for (size_t i = 0; i < n && len < size; i++) {
		link_type_name(choices[i].link_type, name, sizeof(name));
		len += (size_t)snprintf(dst + len, size - len, "%s%s",
		    i == 0 ? "" : ", ", name);
	}
}

static int
choose_link(uint32_t asked, const struct priv_interface *iface,
    struct link_choice *ret_choice, struct err *err)
{
	struct link_choice choices[LINK_CHOICES_MAX];
	size_t n = link_type_choices(iface->arphrd, iface->name, choices);
	char text[160], name[64];

	for (size_t i = 0; i < n; i++)
		if (asked == 0 || choices[i].link_type == asked) {
			*ret_choice = choices[i];
			return E_OK;
		}
	list_choices(choices, n, text, sizeof(text));
	link_type_name(asked, name, sizeof(name));
	return err_set(err, E_USAGE, "interface '%s': start: link type %s is none of "
	    "those it has: %s", iface->name, name, text);
}

/* Can the filter be judged for this link type, with what the client sent? */
static int
check_filter(const struct msg_start *start, const struct msg_filter *filter,
    uint32_t link_type, const char *name, uint32_t *ret_missing, struct err *err)
{
	if (filter->at_client && start->kernel_only)
		return err_set(err, E_FILTER, "interface '%s': filter: has no form that "
		    "the kernel can run: without --kernel-only the client judges the "
		    "packets", name);
	if (filter->at_client || program_of(filter, link_type) != NULL ||
	    (filter->n_programs == 0 && filter->text[0] == '\0'))
		return E_OK;
	*ret_missing = link_type;
	return err_set(err, E_FILTER, "interface '%s': start: the filter was not compiled "
	    "for its link type %u", name, link_type);
}

static enum prologue_direction
direction_of(enum start_direction direction)
{
	switch (direction) {
	case START_INOUT:
		return PROLOGUE_INOUT;
	case START_IN:
		return PROLOGUE_IN;
	case START_OUT:
		return PROLOGUE_OUT;
	}
	return PROLOGUE_INOUT;
}

static void
fill_info(const struct priv_interface *iface, uint32_t request, uint32_t link_type,
    uint32_t snaplen, struct msg_capture_interface *ret_info)
{
	*ret_info = (struct msg_capture_interface){
		.index = iface->index,
		.link_type = link_type,
		.request = request,
		.snaplen = snaplen,
		.has_mac = iface->mac_len == sizeof(ret_info->mac),
	};
	memcpy(ret_info->name, iface->name, sizeof(iface->name));
	if (ret_info->has_mac)
		memcpy(ret_info->mac, iface->mac, sizeof(ret_info->mac));
}

/*
 * Is what is sent received too?  On loopback, and by the rules of CAN drivers
 * (a frame that was asked for as sent is not taken away there).
 */
static bool
has_echo(const struct priv_interface *iface, enum start_direction direction)
{
	return (iface->flags & IFF_LOOPBACK) != 0 ||
	    (iface->arphrd == ARPHRD_CAN && direction != START_OUT);
}

int
wanted_socket(const struct msg_start *start, uint32_t request,
    const struct priv_interface *iface, uint32_t number,
    struct captures_socket *ret_socket, uint32_t *ret_missing_link_type,
    struct err *err)
{
	const struct msg_interface_request *asked = &start->interfaces[request];
	bool is_loopback = has_echo(iface, start->direction);
	struct link_choice link = { 0 };
	int rc;

	*ret_missing_link_type = 0;
	rc = choose_link(asked->link_type, iface, &link, err);
	if (rc == E_OK)
		rc = check_filter(start, filter_of(start, request), link.link_type,
		    iface->name, ret_missing_link_type, err);
	if (rc != E_OK)
		return rc;
	memset(ret_socket, 0, sizeof(*ret_socket));
	ret_socket->request = request;
	ret_socket->max_packet = iface->max_packet;
	ret_socket->mtu = iface->mtu;
	ret_socket->rx_lost = iface->rx_lost;
	ret_socket->socket.fd = -1;
	ret_socket->socket.link = (struct ring_link){
		.link_type = link.link_type,
		.iface = number,
		.snaplen = asked->snaplen,
		.is_cooked = link.is_cooked,
		.is_loopback = is_loopback,
	};
	memcpy(ret_socket->socket.name, iface->name, sizeof(iface->name));
	ret_socket->prologue = (struct prologue_config){
		.link_type = link.link_type,
		.is_cooked = link.is_cooked,
		.is_loopback = is_loopback,
		.is_any = iface->index == 0,
		.direction = direction_of(start->direction),
		.headers_only = start->headers_only,
		.sample = start->sample,
		.sample_flows = start->sample_flows,
		.snaplen = asked->snaplen,
	};
	fill_info(iface, request, link.link_type, asked->snaplen, &ret_socket->info);
	if ((iface->time_stamp_types & (1u << start->time_stamp_type)) != 0)
		ret_socket->info.time_stamp_type = start->time_stamp_type;
	return E_OK;
}

int
wanted_link(const struct net *net, const struct msg_start *start,
    struct captures_socket *s, struct prologue *ret_prologue, struct err *err)
{
	const struct msg_filter *filter = filter_of(start, s->request);
	const struct msg_program *program = program_of(filter, s->prologue.link_type);
	struct prologue_config cfg = s->prologue;
	uint32_t missing;
	int rc;

	rc = check_filter(start, filter, s->prologue.link_type, s->info.name, &missing,
	    err);
	if (rc != E_OK)
		return rc;
	cfg.own = s->netns == 0 ? &net->own : &net->own_elsewhere;
	cfg.mark = net->setup.config.mark;
	cfg.exact_vlan = filter->exact_vlan;
	cfg.from = filter->at_client ? FILTER_CLIENT : s->place;
	cfg.to = start->kernel_only ? FILTER_KERNEL : FILTER_CLIENT;
	if (program != NULL) {
		cfg.filter = program->insns;
		cfg.n_filter = program->n_insns;
	}
	rc = prologue_build(&cfg, ret_prologue, err);
	if (rc != E_OK)
		return err_wrap(err, "interface '%s'", s->info.name);
	s->own_generation = net->own_generation;
	s->place = s->info.filter_place = ret_prologue->place;
	s->socket.link.snaplen = ret_prologue->ring_snaplen;
	return E_OK;
}
