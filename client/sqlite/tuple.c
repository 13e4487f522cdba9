#include "client/sqlite/tuple.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"

enum {
	IP4_LEN = 20, IP4_FRAGMENT = 6, IP4_PROTOCOL = 9, IP4_SRC = 12, IP4_DST = 16,
	IP6_LEN = 40, IP6_NEXT = 6, IP6_SRC = 8, IP6_DST = 24,
	NUMBER_LEN = 3,		/* digits of a byte */
};

/* --- from text --- */

static const struct { const char *name; uint8_t protocol; } transports[] = {
	{ "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "tls", IPPROTO_TCP },
	{ "dtls", IPPROTO_UDP }, { "icmp", IPPROTO_ICMP }, { "sctp", IPPROTO_SCTP },
	{ "icmp6", IPPROTO_ICMPV6 }, { "icmpv6", IPPROTO_ICMPV6 },
	{ "ipv6-icmp", IPPROTO_ICMPV6 },
};

/*
 * One to three digits, 0 to 255; "010" is ten to some and eight to others and
 * taken by none.  Returns what follows, or NULL.
 */
static inline const char *
read_byte(const char *text, uint8_t *ret)
{
	unsigned number = (unsigned)(*text++ - '0'), digit;

	if (number > 9)
		return NULL;
	for (int i = 1; i < NUMBER_LEN && (digit = (unsigned)(*text - '0')) <= 9; i++) {
		if (number == 0)
			return NULL;
		number = number * 10 + digit;
		text++;
	}
	*ret = (uint8_t)number;
	return number <= UINT8_MAX ? text : NULL;
}

/*
 * inet_pton(AF_INET), whose call would be a seventh of a query's time.  Of
 * what it refuses ret_addr may hold the beginning.
 */
static bool
read_ip4(struct tuple_text text, uint8_t ret_addr[static 4])
{
	const char *at = text.at;

	for (int i = 0; i < 4; i++) {
		at = read_byte(at, &ret_addr[i]);
		if (at == NULL || *at != (i < 3 ? '.' : '\0'))
			return false;
		at++;
	}
	return at == text.at + text.len + 1;
}

/* Returns 4 or 6, or 0 for what is no address. */
static uint8_t
read_ip6(struct tuple_text text, uint8_t ret_addr[static 16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char plain[INET6_ADDRSTRLEN];
	size_t len;

	len = strcspn(text.at, "%");
	if (len >= sizeof(plain) || strlen(text.at) != text.len)
		return 0;
	memcpy(plain, text.at, len);
	plain[len] = '\0';
	if (inet_pton(AF_INET6, plain, ret_addr) != 1)
		return 0;
	if (memcmp(ret_addr, mapped, sizeof(mapped)) != 0)
		return 6;
	memmove(ret_addr, ret_addr + sizeof(mapped), 4);
	return 4;
}

static inline uint8_t
read_host(struct tuple_text text, uint8_t ret_addr[static 16])
{
	return read_ip4(text, ret_addr) ? 4 : read_ip6(text, ret_addr);
}

bool
tuple_read_hosts(struct tuple *tuple, struct tuple_text src, struct tuple_text dst)
{
	uint8_t src_version = 0, dst_version = 0;

	memset(tuple->src, 0, sizeof(tuple->src));
	memset(tuple->dst, 0, sizeof(tuple->dst));
	if (src.len > 0 && (src_version = read_host(src, tuple->src)) == 0)
		return false;
	if (dst.len > 0 && (dst_version = read_host(dst, tuple->dst)) == 0)
		return false;
	if (src_version == 0)
		src_version = dst_version == 0 ? 4 : dst_version;
	if (dst_version == 0)
		dst_version = src_version;
	tuple->version = src_version;
	return src_version == dst_version;
}

static struct tuple_text
text_of(const char *text)
{
	return (struct tuple_text){ text, text == NULL ? 0 : strlen(text) };
}

bool
tuple_set_hosts(struct tuple *tuple, const char *src, const char *dst)
{
	return tuple_read_hosts(tuple, text_of(src), text_of(dst));
}

/* Three digits at most; false for what is no protocol number. */
static bool
read_number(const char *text, uint8_t *ret)
{
	size_t len = strspn(text, "0123456789");
	unsigned long number;

	if (len == 0 || len > NUMBER_LEN || text[len] != '\0')
		return false;
	number = strtoul(text, NULL, 10);
	if (number > UINT8_MAX)
		return false;
	*ret = (uint8_t)number;
	return true;
}

static bool
read_name(const char *text, uint8_t version, uint8_t *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(transports); i++) {
		uint8_t protocol = transports[i].protocol;

		if (strcasecmp(text, transports[i].name) != 0)
			continue;
		if (protocol == IPPROTO_ICMPV6 && version == 4)
			return false;
		*ret = protocol == IPPROTO_ICMP && version == 6 ? IPPROTO_ICMPV6 : protocol;
		return true;
	}
	return false;
}

bool
tuple_is_protocol(uint8_t version, uint8_t protocol)
{
	return version == 4 || protocol != IPPROTO_FRAGMENT;
}

bool
tuple_set_transport(struct tuple *tuple, const char *text)
{
	return (read_name(text, tuple->version, &tuple->protocol) ||
	    read_number(text, &tuple->protocol)) &&
	    tuple_is_protocol(tuple->version, tuple->protocol);
}

bool
tuple_read_transport(struct tuple *tuple, struct tuple_text text)
{
	/* What nearly all rows say, without a search. */
	if (text.len == 3 && memcmp(text.at, "tcp", 3) == 0)
		tuple->protocol = IPPROTO_TCP;
	else if (text.len == 3 && memcmp(text.at, "udp", 3) == 0)
		tuple->protocol = IPPROTO_UDP;
	else
		return text.at != NULL && strlen(text.at) == text.len &&
		    tuple_set_transport(tuple, text.at);
	return true;
}

static bool
has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static bool
is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/*
 * Where the answer to a request has a type of its own Zeek writes that one
 * instead of the code, which is 0 in both.
 */
static bool
is_counterpart(uint8_t protocol, int64_t type, int64_t other)
{
	static const struct { uint8_t protocol, one, other; } pairs[] = {
		{ IPPROTO_ICMP, 8, 0 }, { IPPROTO_ICMP, 9, 10 }, { IPPROTO_ICMP, 13, 14 },
		{ IPPROTO_ICMP, 15, 16 }, { IPPROTO_ICMP, 17, 18 },
		{ IPPROTO_ICMPV6, 128, 129 }, { IPPROTO_ICMPV6, 130, 131 },
		{ IPPROTO_ICMPV6, 133, 134 }, { IPPROTO_ICMPV6, 135, 136 },
		{ IPPROTO_ICMPV6, 139, 140 }, { IPPROTO_ICMPV6, 144, 145 },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (pairs[i].protocol == protocol &&
		    ((pairs[i].one == type && pairs[i].other == other) ||
		    (pairs[i].one == other && pairs[i].other == type)))
			return true;
	return false;
}

bool
tuple_set_ports(struct tuple *tuple, int64_t sport, int64_t dport, enum tuple_icmp icmp)
{
	int64_t max = TUPLE_PORT_MAX;

	tuple->sport = tuple->dport = 0;
	if (is_icmp(tuple->protocol) && icmp == TUPLE_ICMP_IS_TYPE_AND_CODE)
		max = UINT8_MAX;
	else if (!has_ports(tuple->protocol))
		return true;
	if (sport < 0 || sport > max || dport < 0 || dport > max)
		return false;
	tuple->sport = (uint16_t)sport;
	tuple->dport = (uint16_t)dport;
	if (is_icmp(tuple->protocol) && is_counterpart(tuple->protocol, sport, dport))
		tuple->dport = 0;
	return true;
}

/* --- to a packet --- */

/* Bytes behind the IP header that every packet of the protocol has. */
static size_t
transport_len(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
		return 8;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 4;
	default:
		return 0;
	}
}

static void
write_ports(const struct tuple *tuple, uint8_t *transport)
{
	if (has_ports(tuple->protocol)) {
		put_be16(transport, tuple->sport);
		put_be16(transport + 2, tuple->dport);
	} else if (is_icmp(tuple->protocol)) {
		transport[0] = (uint8_t)tuple->sport;
		transport[1] = (uint8_t)tuple->dport;
	}
}

size_t
tuple_write(const struct tuple *tuple, uint8_t ret_packet[static TUPLE_PACKET_MAX])
{
	size_t ip_len = tuple->version == 4 ? IP4_LEN : IP6_LEN;

	memset(ret_packet, 0, TUPLE_PACKET_MAX);
	if (tuple->version == 4) {
		ret_packet[0] = 0x45;
		ret_packet[IP4_PROTOCOL] = tuple->protocol;
		memcpy(ret_packet + IP4_SRC, tuple->src, 4);
		memcpy(ret_packet + IP4_DST, tuple->dst, 4);
	} else {
		ret_packet[0] = 0x60;
		ret_packet[IP6_NEXT] = tuple->protocol;
		memcpy(ret_packet + IP6_SRC, tuple->src, 16);
		memcpy(ret_packet + IP6_DST, tuple->dst, 16);
	}
	write_ports(tuple, ret_packet + ip_len);
	return ip_len + transport_len(tuple->protocol);
}

/* --- what is known of it --- */

static void
fix(struct tuple_shape *shape, size_t offset, uint8_t bits, uint8_t mask)
{
	shape->bits[offset] = bits;
	shape->fixed[offset] = mask;
	shape->defined[offset] = mask;
}

static void
define(struct tuple_shape *shape, size_t offset, size_t len)
{
	memset(shape->defined + offset, 0xff, len);
}

void
tuple_shape_init(struct tuple_shape *shape, uint8_t version, uint8_t protocol,
    enum tuple_icmp icmp)
{
	*shape = (struct tuple_shape){ .version = version, .protocol = protocol, .icmp = icmp };
	if (version == 4) {
		shape->ip_len = IP4_LEN;
		shape->protocol_at = IP4_PROTOCOL;
		fix(shape, 0, 0x40, 0xf0);
		fix(shape, IP4_FRAGMENT, 0, 0x1f);
		fix(shape, IP4_FRAGMENT + 1, 0, 0xff);
		fix(shape, IP4_PROTOCOL, protocol, 0xff);
		define(shape, IP4_SRC, 8);
	} else {
		shape->ip_len = IP6_LEN;
		shape->protocol_at = IP6_NEXT;
		fix(shape, 0, 0x60, 0xf0);
		fix(shape, IP6_NEXT, protocol, 0xff);
		define(shape, IP6_SRC, 32);
	}
	shape->len = shape->ip_len + transport_len(protocol);
	if (has_ports(protocol))
		define(shape, shape->ip_len, 4);
	else if (is_icmp(protocol) && icmp == TUPLE_ICMP_IS_TYPE_AND_CODE)
		define(shape, shape->ip_len, 2);
}

uint8_t
tuple_shape_last_alike(const struct tuple_shape *shape)
{
	unsigned last = shape->protocol;

	if (transport_len(shape->protocol) > 0)
		return shape->protocol;
	while (last < UINT8_MAX && transport_len((uint8_t)(last + 1)) == 0 &&
	    tuple_is_protocol(shape->version, (uint8_t)(last + 1)))
		last++;
	return (uint8_t)last;
}

/* A field ends before end. */
struct field {
	size_t		 end;
	const char	*name;
};

static const char *
name_in(const struct field *fields, size_t n, size_t offset)
{
	for (size_t i = 0; i < n; i++)
		if (offset < fields[i].end)
			return fields[i].name;
	return "the payload";
}

static const char *
ip_field(uint8_t version, size_t offset)
{
	static const struct field v4[] = {
		{ 1, "the IP header's length" }, { 2, "the type of service" },
		{ 4, "the packet's length" }, { 6, "the IP identification" },
		{ 8, "the IP fragment flags" }, { 9, "the time to live" },
		{ 10, "the protocol" }, { 12, "the IP checksum" }, { 20, "the addresses" },
	}, v6[] = {
		{ 4, "the traffic class and flow label" }, { 6, "the packet's length" },
		{ 7, "the protocol" }, { 8, "the hop limit" }, { 40, "the addresses" },
	};

	return version == 4 ? name_in(v4, ARRAY_LEN(v4), offset) :
	    name_in(v6, ARRAY_LEN(v6), offset);
}

const char *
tuple_shape_field(const struct tuple_shape *shape, size_t offset)
{
	static const struct field tcp[] = {
		{ 4, "the ports" }, { 8, "the TCP sequence number" },
		{ 12, "the TCP acknowledgement number" }, { 13, "the TCP header's length" },
		{ 14, "the TCP flags" }, { 16, "the TCP window" }, { 18, "the TCP checksum" },
		{ 20, "the TCP urgent pointer" },
	}, udp[] = {
		{ 4, "the ports" }, { 6, "the UDP length" }, { 8, "the UDP checksum" },
	}, sctp[] = {
		{ 4, "the ports" }, { 8, "the SCTP verification tag" },
		{ 12, "the SCTP checksum" },
	}, icmp[] = {
		{ 1, "the ICMP type" }, { 2, "the ICMP code" }, { 4, "the ICMP checksum" },
	};

	if (offset < shape->ip_len)
		return ip_field(shape->version, offset);
	offset -= shape->ip_len;
	switch (shape->protocol) {
	case IPPROTO_TCP:
		return name_in(tcp, ARRAY_LEN(tcp), offset);
	case IPPROTO_UDP:
		return name_in(udp, ARRAY_LEN(udp), offset);
	case IPPROTO_SCTP:
		return name_in(sctp, ARRAY_LEN(sctp), offset);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return name_in(icmp, ARRAY_LEN(icmp), offset);
	default:
		return name_in(NULL, 0, offset);
	}
}
