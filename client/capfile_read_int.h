/*
 * capfile_read_int - what the capfile_read files share: the buffer and pcap are
 * in capfile_read.c, pcapng's blocks in capfile_pcapng.c.
 */
#ifndef CLIENT_CAPFILE_READ_INT_H
#define CLIENT_CAPFILE_READ_INT_H

#include "client/capfile_read.h"
#include "common/bytes.h"

enum capfile_format { CAPFILE_UNKNOWN, CAPFILE_PCAP, CAPFILE_PCAPNG };

enum { CAPFILE_BLOCK_SHB = 0x0A0D0D0A };

struct capfile_interface {
	uint32_t	 link_type;
	uint32_t	 snaplen;	/* 0: no limit */
};

struct capfile_reader {
	enum capfile_format format;
	bool		 is_big;	/* the order of the section, or of the file */
	struct capfile_interface *interfaces;	/* of the section; pcap: one */
	uint32_t	 n_interfaces, max_interfaces;

	uint64_t	 n_records;	/* taken, the file's head included */
	uint64_t	 taken;		/* bytes of them */
	struct err	 why;		/* code E_OK, or the final error */

	uint8_t		*buf;
	size_t		 cap, start, end;
};

static inline uint16_t
capfile_u16(const struct capfile_reader *r, const uint8_t *p)
{
	return r->is_big ? get_be16(p) : get_le16(p);
}

static inline uint32_t
capfile_u32(const struct capfile_reader *r, const uint8_t *p)
{
	return r->is_big ? get_be32(p) : get_le32(p);
}

/* The error that all later calls repeat; returns E_BADMSG. */
int capfile_damaged(struct capfile_reader *r, const char *cause, struct err *err)
    MUST_CHECK;

/* E_NOMEM; E_BADMSG for more than CAPFILE_INTERFACES_MAX. */
int capfile_add_interface(struct capfile_reader *r, uint32_t link_type, uint32_t snaplen,
    struct err *err) MUST_CHECK;

/* --- capfile_pcapng.c --- */

/* The block at p, of which avail bytes are there; as capfile_reader_next(). */
int capfile_next_block(struct capfile_reader *r, const uint8_t *p, size_t avail,
    struct capfile_record *ret_record, struct err *err) MUST_CHECK;

#endif /* CLIENT_CAPFILE_READ_INT_H */
