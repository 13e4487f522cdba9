/*
 * blast - send numbered UDP frames from an interface at a steady rate.
 *
 *	blast IFACE COUNT SIZE RATE
 *
 * Every frame is SIZE bytes long (at least 60) and carries its number, big
 * endian, in the eight bytes after the UDP header.  RATE is packets a second.
 * Prints how many frames were sent.  For the tests: no privilege but
 * CAP_NET_RAW.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADERS = 42, BURST = 64, MAX_SIZE = 9000, NS = 1000000000 };

static uint8_t frame[BURST][MAX_SIZE];

static void
put_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
make_frame(uint8_t *p, size_t size)
{
	static const uint8_t start[] = {
		0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
		0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0,
		192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 0x00, 0x09,
	};
	uint32_t sum = 0;

	memcpy(p, start, sizeof(start));
	put_be16(p + 16, (unsigned)(size - 14));
	put_be16(p + 38, (unsigned)(size - 34));
	for (int i = 14; i < 34; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(p + 24, ~(sum + (sum >> 16)) & 0xffff);
	for (size_t i = HEADERS; i < size; i++)
		p[i] = (uint8_t)(i * 7);
}

static void
number_frame(uint8_t *p, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		p[HEADERS + i] = (uint8_t)(number >> (56 - 8 * i));
}

/* Send frames first..first+n; returns 0 or -1. */
static int
send_burst(int fd, uint64_t first, unsigned n, size_t size)
{
	struct iovec iov[BURST];
	struct mmsghdr msg[BURST];
	unsigned done = 0;

	memset(msg, 0, sizeof(msg));
	for (unsigned i = 0; i < n; i++) {
		number_frame(frame[i], first + i);
		iov[i] = (struct iovec){ frame[i], size };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < n) {
		int sent = sendmmsg(fd, msg + done, n - done, 0);

		if (sent < 0 && errno != EINTR && errno != ENOBUFS)
			return -1;
		if (sent > 0)
			done += (unsigned)sent;
	}
	return 0;
}

static void
wait_until(struct timespec start, uint64_t ns)
{
	ns += (uint64_t)start.tv_nsec;
	start.tv_sec += (time_t)(ns / NS);
	start.tv_nsec = (long)(ns % NS);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL) == EINTR)
		;
}

int
main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct timespec start;
	uint64_t count, rate, sent = 0;
	size_t size;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: blast IFACE COUNT SIZE RATE\n");
		return 2;
	}
	count = strtoull(argv[2], NULL, 10);
	size = strtoul(argv[3], NULL, 10);
	rate = strtoull(argv[4], NULL, 10);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (size < 60 || size > MAX_SIZE || rate == 0 || to.sll_ifindex == 0) {
		fprintf(stderr, "blast: bad size, rate or interface\n");
		return 2;
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("blast");
		return 1;
	}
	for (int i = 0; i < BURST; i++)
		make_frame(frame[i], size);
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (sent < count) {
		unsigned n = count - sent < BURST ? (unsigned)(count - sent) : BURST;

		wait_until(start, sent * NS / rate);
		if (send_burst(fd, sent, n, size) < 0) {
			perror("blast: send");
			return 1;
		}
		sent += n;
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}
