/*
 * capfile_read - cut a capture file into its records: pcap or pcapng.
 *
 * Takes both byte orders, pcap in micro- and nanoseconds, pcapng with several
 * sections and interfaces.  A record keeps its bytes as they are, so that what
 * is copied out is a file again.  Pure: the caller reads, on hostile input;
 * memory grows with the bytes that came, never with a length they announce.
 */
#ifndef CLIENT_CAPFILE_READ_H
#define CLIENT_CAPFILE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum {
	/* libpcap's largest snapshot length (USB), with room for a block around it. */
	CAPFILE_RECORD_MAX = (128 << 20) + (1 << 20),
	CAPFILE_INTERFACES_MAX = 1 << 20,
};

struct capfile_reader;		/* one per input */

/* A file's head, a packet with all that stands beside it, or any other block. */
struct capfile_record {
	const uint8_t	*bytes;		/* the whole record */
	size_t		 len;

	/* Of a packet, and of what declares an interface (pcap: the file's head). */
	bool		 has_link_type;
	uint32_t	 link_type;	/* LINKTYPE_ */

	bool		 is_packet;
	const uint8_t	*data;		/* captured_len bytes, within bytes */
	uint32_t	 captured_len, original_len;
	bool		 has_type;	/* the block tells the direction */
	uint8_t		 type;		/* then PACKET_HOST.. */
};

/* NULL when out of memory; release with capfile_reader_free(). */
struct capfile_reader *capfile_reader_new(void);
void capfile_reader_free(struct capfile_reader *r);	/* NULL is allowed */

/*
 * Where the next bytes of the input go, at least one; NULL when out of memory.
 * Only after capfile_reader_next() said E_AGAIN; records taken are gone then.
 */
uint8_t *capfile_reader_space(struct capfile_reader *r, size_t *ret_room);

/* So many bytes are there now. */
void capfile_reader_commit(struct capfile_reader *r, size_t len);

/*
 * Take the next record.  On E_OK its pointers are valid until the next
 * capfile_reader_space().
 *
 * E_AGAIN   none is complete yet
 * E_BADMSG  no capture file, or damaged: "block 7 at byte 1234: cause"; final
 * E_NOMEM
 */
int capfile_reader_next(struct capfile_reader *r, struct capfile_record *ret_record,
    struct err *err) MUST_CHECK;

/* The input has ended: E_OK between two records, else E_BADMSG. */
int capfile_reader_end(struct capfile_reader *r, struct err *err) MUST_CHECK;

/* Can packets of this file tell their direction?  After the first record. */
bool capfile_reader_tells_types(const struct capfile_reader *r);

#endif /* CLIENT_CAPFILE_READ_H */
