/*
 * wanted - which interfaces a Start asks for, at its start and later.
 *
 * A request names an interface ("eth0", or its number at the start), a
 * pattern ("veth*"), or "any", in the agent's network namespace or in another
 * one ("netns:blue/eth0", "pid:77/any").  An interface that several requests
 * want belongs to the one that says most exactly which: a name or number, then
 * a pattern, then any; among equals to the first.  Also makes a socket's configuration out of the
 * request it belongs to.  No sockets, no kernel.  Runs in capagent-net.
 */
#ifndef SERVER_WANTED_H
#define SERVER_WANTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/codec.h"
#include "server/priv_msg.h"

struct captures_socket;
struct net;
struct prologue;

enum wanted_kind {
	WANTED_NAME,		/* one interface, by name */
	WANTED_NUMBER,		/* one interface, by number or (first) by name */
	WANTED_PATTERN,		/* has *, ? or [ */
	WANTED_ANY,		/* every interface */
	WANTED_COOKED,		/* "any" of a cooked Start: one socket on all */
};

/* A request's name taken apart; the texts are parts of it. */
struct wanted_name {
	enum wanted_kind kind;
	size_t		 netns_len;	/* of "netns:blue" in front; 0: own */
	const char	*iface;		/* what is behind it */
	uint32_t	 number;	/* WANTED_NUMBER */
};

void wanted_name(const struct msg_start *start, uint32_t request,
    struct wanted_name *ret_name);

/*
 * The request to which this interface belongs, or -1.  netns is "" for the
 * agent's own namespace, else "netns:blue" or "pid:77" as in the request.
 * A cooked "any" wants none: its one socket has them all.
 */
int wanted_request(const struct msg_start *start, const char *netns,
    const struct priv_interface *iface);

/* May it want none, or several: any, or with * ? [ in it? */
bool wanted_is_pattern(const struct msg_interface_request *request);

/* Can interfaces that come later be wanted? */
bool wanted_follows(const struct msg_start *start);

/*
 * Fill what an interface's socket is to be: socket (without what opening it
 * gives), prologue, place, request and info.  number is its place in the
 * stream's list of interfaces.
 *
 * E_FILTER  with *ret_missing_link_type != 0: the client must send the filter
 *           compiled for this link type; with 0: only the client could judge
 *           what it asks for, and the Start forbids that
 * E_USAGE   the link type asked for is not one of its choices
 */
int wanted_socket(const struct msg_start *start, uint32_t request,
    const struct priv_interface *iface, uint32_t number,
    struct captures_socket *ret_socket, uint32_t *ret_missing_link_type,
    struct err *err) MUST_CHECK;

/*
 * Link the program of a socket that wanted_socket() made, with the client's
 * filter as start has it now, at the first place from s->place on that does.
 * Fills s->place, s->info.filter_place, the ring's snaplen and
 * s->own_generation.
 * Codes of prologue_build(); s is untouched then.
 */
int wanted_link(const struct net *net, const struct msg_start *start,
    struct captures_socket *s, struct prologue *ret_prologue,
    struct err *err) MUST_CHECK;

#endif /* SERVER_WANTED_H */
