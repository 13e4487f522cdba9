/*
 * ring_fake - rings that a test fills, in the place of server/ring_map.c.
 *
 * Defines the functions of ring_map.h, so that the library's are not linked:
 * for one file of a test program.
 */
#ifndef TESTS_UNIT_RING_FAKE_H
#define TESTS_UNIT_RING_FAKE_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <cmocka.h>

#include "server/ring_map.h"

enum {
	RING_FAKE_BLOCK = 64 << 10,
	RING_FAKE_BLOCKS = 8,
	RING_FAKE_BYTES = RING_FAKE_BLOCK * RING_FAKE_BLOCKS,
	RING_FAKE_MAX = 4,
	RING_FAKE_MAC = 82,	/* where the kernel puts an Ethernet header */
};

struct ring_fake {
	int		 fd;		/* as the capture's socket; taken by it */
	int		 wake_fd;	/* the same, the test's own */
	uint8_t		*mem;
	uint32_t	 next;		/* block to fill */
	uint32_t	 n_put;		/* packets so far: their first four bytes */
	bool		 is_tagged;	/* packets from now on: VLAN 5 */
	uint32_t	 cut;		/* bytes more that packets had than the ring has */
	uint64_t	 n_blocks;	/* filled */
	uint32_t	 n_ahead;	/* counted already, before their block */
	_Atomic uint64_t received, dropped;	/* since they were read */
	atomic_bool	 is_lost;	/* its device was deleted */
};

/* Those that tests fill; any other descriptor has a ring that stays empty. */
static struct ring_fake ring_fakes[RING_FAKE_MAX];
static atomic_bool ring_fake_map_fails;

static inline struct ring_fake *
ring_fake_find(int fd)
{
	for (int i = 0; i < RING_FAKE_MAX; i++)
		if (ring_fakes[i].mem != NULL && ring_fakes[i].fd == fd)
			return &ring_fakes[i];
	return NULL;
}

int
ring_map(int fd, uint32_t block_size, uint32_t block_nr, void **ret_mem,
    struct err *err)
{
	struct ring_fake *fake = ring_fake_find(fd);

	if (ring_fake_map_fails)
		return err_set(err, E_NOMEM, "ring: map: as asked");
	*ret_mem = fake != NULL ? fake->mem :
	    calloc(block_nr, block_size);
	return *ret_mem == NULL ? E_NOMEM : E_OK;
}

void
ring_unmap(void *mem, uint32_t block_size, uint32_t block_nr)
{
	(void)block_size;
	(void)block_nr;
	for (int i = 0; i < RING_FAKE_MAX; i++)
		if (ring_fakes[i].mem == mem)
			return;
	free(mem);
}

int
ring_read_stats(int fd, struct ring_stats *stats, struct err *err)
{
	struct ring_fake *fake = ring_fake_find(fd);

	(void)err;
	if (fake != NULL) {
		stats->received += atomic_exchange(&fake->received, 0);
		stats->dropped += atomic_exchange(&fake->dropped, 0);
	}
	return E_OK;
}

int
ring_socket_error(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : ENETDOWN;
}

bool
ring_socket_is_lost(int fd)
{
	struct ring_fake *fake = ring_fake_find(fd);

	return fake != NULL && atomic_load(&fake->is_lost);
}

static inline void
ring_fake_open(struct ring_fake *fake)
{
	*fake = (struct ring_fake){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.mem = calloc(1, RING_FAKE_BYTES),
	};
	fake->wake_fd = dup(fake->fd);
	assert_true(fake->fd >= 0 && fake->wake_fd >= 0);
	assert_non_null(fake->mem);
}

/* After the capture is joined, which closed the descriptor. */
static inline void
ring_fake_close(struct ring_fake *fake)
{
	if (fake->mem == NULL)
		return;
	close(fake->wake_fd);
	free(fake->mem);
	fake->mem = NULL;
}

/* The kernel counts n packets whose block it closes only later. */
static inline void
ring_fake_count_ahead(struct ring_fake *fake, uint32_t n)
{
	fake->n_ahead = n;
	atomic_fetch_add(&fake->received, n);
}

/*
 * Fill one block with n packets of len bytes, as received, and wake the
 * capture.  false when the capture has not given the block back yet.
 */
static inline bool
ring_fake_put(struct ring_fake *fake, uint32_t n, uint32_t len)
{
	const uint64_t one = 1;
	uint8_t *block = fake->mem + (size_t)fake->next * RING_FAKE_BLOCK;
	struct tpacket_hdr_v1 *head =
	    &((struct tpacket_block_desc *)(void *)block)->hdr.bh1;
	uint32_t at = sizeof(struct tpacket_block_desc);
	uint32_t step = (RING_FAKE_MAC + len + 7u) & ~7u;

	if (__atomic_load_n(&head->block_status, __ATOMIC_ACQUIRE) !=
	    TP_STATUS_KERNEL)
		return false;
	assert_true(at + (size_t)n * step <= RING_FAKE_BLOCK && len >= 4);
	head->num_pkts = n;
	head->seq_num = ++fake->n_blocks;
	head->offset_to_first_pkt = at;
	for (uint32_t i = 0; i < n; i++, at += step) {
		struct tpacket3_hdr *h = (void *)(block + at);
		struct sockaddr_ll sll = { .sll_family = AF_PACKET,
		    .sll_protocol = htons(ETH_P_IP) };

		*h = (struct tpacket3_hdr){
			.tp_next_offset = i + 1 < n ? step : 0,
			.tp_sec = 1700000000, .tp_nsec = fake->n_put,
			.tp_snaplen = len, .tp_len = len + fake->cut,
			.tp_mac = RING_FAKE_MAC, .tp_net = RING_FAKE_MAC + 14,
		};
		if (fake->is_tagged) {
			h->tp_status = TP_STATUS_VLAN_VALID;
			h->hv1.tp_vlan_tci = 5;
		}
		memcpy((uint8_t *)h + sizeof(*h), &sll, sizeof(sll));
		memset((uint8_t *)h + RING_FAKE_MAC, 0x55, len);
		memcpy((uint8_t *)h + RING_FAKE_MAC, &fake->n_put, 4);
		fake->n_put++;
	}
	if (fake->n_ahead == 0)
		atomic_fetch_add(&fake->received, n);
	else
		fake->n_ahead -= n;
	__atomic_store_n(&head->block_status, TP_STATUS_USER, __ATOMIC_RELEASE);
	fake->next = (fake->next + 1) % RING_FAKE_BLOCKS;
	assert_int_equal(write(fake->wake_fd, &one, sizeof(one)), sizeof(one));
	return true;
}

#endif /* TESTS_UNIT_RING_FAKE_H */
