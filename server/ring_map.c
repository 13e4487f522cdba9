#include <sys/mman.h>
#include <sys/socket.h>
#include <errno.h>

#include <linux/if_packet.h>

#include "server/ring_map.h"

int
ring_map(int fd, uint32_t block_size, uint32_t block_nr, void **ret_mem,
    struct err *err)
{
	void *mem;

	mem = mmap(NULL, (size_t)block_size * block_nr, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return err_sys(err, "ring: map %u blocks of %u bytes", block_nr,
		    block_size);
	*ret_mem = mem;
	return E_OK;
}

void
ring_unmap(void *mem, uint32_t block_size, uint32_t block_nr)
{
	if (mem != NULL)
		munmap(mem, (size_t)block_size * block_nr);
}

int
ring_read_stats(int fd, struct ring_stats *stats, struct err *err)
{
	struct tpacket_stats_v3 now = { 0 };
	socklen_t len = sizeof(now);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &now, &len) == -1)
		return err_sys(err, "ring: read counters");
	if (len != sizeof(now))
		return err_set(err, E_BUG, "ring: read counters: not version 3");
	stats->received += now.tp_packets;	/* includes tp_drops */
	stats->dropped += now.tp_drops;
	stats->freezes += now.tp_freeze_q_cnt;
	return E_OK;
}

int
ring_socket_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return errno;
	return error;
}

bool
ring_socket_is_lost(int fd)
{
	struct sockaddr_ll addr = { 0 };
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	    addr.sll_ifindex == -1;
}
