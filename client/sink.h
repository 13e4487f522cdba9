/*
 * sink - where packets go: one operation struct, one file per format.
 *
 * A sink turns packets into bytes of its format and gives them to an
 * outfile; it knows nothing of sensors or sockets.
 */
#ifndef CLIENT_SINK_H
#define CLIENT_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "client/outfile.h"
#include "common/clock.h"
#include "common/err.h"
#include "proto/batch.h"

/* One interface of the output; all strings borrowed for the call. */
struct sink_interface {
	const char	*name;		/* "eth0" */
	const char	*description;
	const char	*os;		/* of the sensor */
	const char	*filter;	/* text; "" for none */
	const char	*comment;	/* "" for none */
	uint32_t	 link_type;	/* LINKTYPE_ */
	const uint8_t	*mac;		/* 6 bytes or NULL */
	uint32_t	 n_addresses;
	char	 (*addresses)[64];	/* "10.0.0.1/24" */
};

/* Twice the notes, a gap of each reason, and what comes with counters. */
enum { SINK_COMMENTS_MAX = 36 };

/* What is to be said beside a packet or a set of counters. */
struct sink_remarks {
	uint64_t	 dropped;	/* packets of this interface missing before it */
	uint32_t	 n_comments;
	const char	*comments[SINK_COMMENTS_MAX];
};

/* Final counters of one interface. */
struct sink_stats {
	uint64_t	 received;	/* by the interface's filter, drops included */
	uint64_t	 dropped_kernel;
	uint64_t	 dropped_interface;
	uint64_t	 lost_elsewhere;/* agent, filter changes, gaps, client */
	uint64_t	 filtered;	/* of received: rejected by the client */
	uint64_t	 written;
	struct wall_ns	 start, end;
};

struct sink;			/* each format's own */

enum sink_start {
	SINK_NEW_FILE,
	SINK_OLD_FILE,		/* it has its header, and interfaces to be known */
};

struct sink_ops {
	const char *name;		/* "pcapng", "pcap" */
	bool one_link_type;		/* for all interfaces of an output */
	uint8_t magic[OUTFILE_MAGIC_LEN];	/* that a file begins with */

	/*
	 * Write the header of a new file; program is "capclient 0.1.0", snaplen
	 * that of every interface: no packet will be longer.
	 */
	struct sink *(*open)(struct outfile *out, const char *program,
	    uint32_t snaplen, enum sink_start start, struct err *err);

	/*
	 * Declare the next interface (0, 1, 2 ...) before its first packet; also
	 * between packets.  E_OUTPUT when the format cannot hold it, or not
	 * beside the others.
	 */
	int (*add_interface)(struct sink *sink, const struct sink_interface *iface,
	    struct err *err);

	/* The same for one that an old file declares already: nothing is written. */
	int (*know_interface)(struct sink *sink, const struct sink_interface *iface,
	    struct err *err);

	/*
	 * Write one packet, and remarks (NULL mostly) beside it, as far as the
	 * format has a place for them.  Only formats into the outfile's buffer:
	 * no system call.
	 */
	int (*packet)(struct sink *sink, const struct packet_ref *packet,
	    const struct sink_remarks *remarks, struct err *err);

	/*
	 * Final counters of interface number iface, and remarks (or NULL), of
	 * which only the comments count; once, at the end.
	 */
	int (*stats)(struct sink *sink, uint32_t iface,
	    const struct sink_stats *stats, const struct sink_remarks *remarks,
	    struct err *err);

	/*
	 * How many packets were shortened (original length kept) because a
	 * reader of this format takes no longer block.
	 */
	uint64_t (*cut)(const struct sink *sink);

	/* Free the sink; the outfile stays the caller's. */
	void (*free)(struct sink *sink);
};

extern const struct sink_ops sink_pcap_ops;
extern const struct sink_ops sink_pcapng_ops;

#endif /* CLIENT_SINK_H */
