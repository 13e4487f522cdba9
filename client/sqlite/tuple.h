/*
 * tuple - a connection as a table holds it, and the packet that stands for it.
 *
 * Reads hosts and transports from text, as logs write them, and writes raw IP
 * (LINKTYPE_RAW) without options that holds what the connection says and zeros
 * where it says nothing.  Knows neither SQL nor filters; pure functions.
 */
#ifndef CLIENT_SQLITE_TUPLE_H
#define CLIENT_SQLITE_TUPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"

enum {
	TUPLE_PACKET_MAX = 60,	/* IPv6 and TCP without options */
	TUPLE_PORT_MAX = 65535,
};

struct tuple {
	uint8_t	 version;		/* 4 or 6 */
	uint8_t	 protocol;		/* IANA's number */
	uint16_t sport, dport;		/* ICMP: type and code */
	uint8_t	 src[16], dst[16];	/* the first 4 bytes for version 4 */
};

/* Do the ports of ICMP rows hold type and code? */
enum tuple_icmp { TUPLE_ICMP_IS_TYPE_AND_CODE, TUPLE_ICMP_IS_UNKNOWN };

/*
 * Version and addresses from text: IPv4, IPv6 (a zone behind '%' is left out),
 * IPv4 in IPv6's form ("::ffff:10.0.0.1"), which is IPv4.  NULL and "" are the
 * unspecified address of the other host's version, of IPv4 when both are.
 * False for anything else and for two versions.
 */
bool tuple_set_hosts(struct tuple *tuple, const char *src, const char *dst) MUST_CHECK;

/*
 * A text whose length is known: len bytes and a NUL, or at is NULL and len 0.
 * One with a NUL among the bytes is neither a host nor a transport.
 */
struct tuple_text {
	const char	*at;
	size_t		 len;
};

/* tuple_set_hosts() and tuple_set_transport() of such texts, without a pass to find their ends. */
bool tuple_read_hosts(struct tuple *tuple, struct tuple_text src,
    struct tuple_text dst) MUST_CHECK;
bool tuple_read_transport(struct tuple *tuple, struct tuple_text text) MUST_CHECK;

/*
 * The protocol, after the hosts: tcp, tls, udp, dtls, sctp, icmp (between IPv6
 * hosts ICMPv6, as Zeek writes it), icmp6, icmpv6, ipv6-icmp (IPv6 hosts
 * only) in any case, or a decimal number.  False for anything else and for
 * IPv6's fragment header, behind which the protocol would stand.
 */
bool tuple_set_transport(struct tuple *tuple, const char *text) MUST_CHECK;

/*
 * The ports, after the transport: 0 to 65535 for TCP, UDP and SCTP, type and
 * code, 0 to 255, for ICMP if icmp says so; where Zeek writes the type of the
 * answer in the place of the code (135 and 136), the code is 0.  Nothing of
 * others is looked at.  False for a number out of range.
 */
bool tuple_set_ports(struct tuple *tuple, int64_t sport, int64_t dport,
    enum tuple_icmp icmp) MUST_CHECK;

/* The packet: returns its length. */
size_t tuple_write(const struct tuple *tuple, uint8_t ret_packet[static TUPLE_PACKET_MAX]);

/*
 * What is known of the packets of all connections of one version and
 * protocol.  A bit in fixed has the value in bits; one in defined but not in
 * fixed is the connection's; one in neither is undefined: the connection does
 * not say.  The IPv4 header has 20 bytes (connections whose packets have
 * options are not told apart), though the field that says so is undefined:
 * asking for it is asking for options.  The fragment offset is 0, since a
 * connection is more than a fragment.
 */
struct tuple_shape {
	uint8_t	 version, protocol;
	enum tuple_icmp icmp;
	size_t	 ip_len;		/* of the IP header */
	size_t	 protocol_at;		/* of the byte with its number */
	size_t	 len;			/* bytes that every such packet has */
	uint8_t	 bits[TUPLE_PACKET_MAX];
	uint8_t	 fixed[TUPLE_PACKET_MAX];
	uint8_t	 defined[TUPLE_PACKET_MAX];
};

void tuple_shape_init(struct tuple_shape *shape, uint8_t version, uint8_t protocol,
    enum tuple_icmp icmp);

/*
 * The last of the protocols from the shape's on whose shapes differ from it in
 * nothing but the number, and that connections can have.
 */
uint8_t tuple_shape_last_alike(const struct tuple_shape *shape);

/* Can a connection have this protocol: all but IPv6's fragment header. */
bool tuple_is_protocol(uint8_t version, uint8_t protocol);

/* What byte offset of such a packet is, for a message: "the TCP flags". */
const char *tuple_shape_field(const struct tuple_shape *shape, size_t offset);

#endif /* CLIENT_SQLITE_TUPLE_H */
