/*
 * blast - send numbered UDP frames from an interface at a steady rate.
 *
 *	blast IFACE COUNT SIZE RATE [JOURNAL]
 *
 * Every frame is SIZE bytes long (at least 60) and carries, big endian behind
 * the UDP header, its number and the wall clock before its burst, in
 * nanoseconds, eight bytes each.  RATE is packets a second.  With COUNT 0 it
 * sends until SIGTERM.  Prints how many frames were sent.
 *
 * JOURNAL gets a line for each burst: first number, how many, and the wall
 * clock before and after it.  For the tests: no privilege but CAP_NET_RAW.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	HEADERS = 42, BURST = 64, MAX_SIZE = 9000, NS = 1000000000,

	/* Slow rates are no series of large bursts. */
	BURSTS_PER_SECOND = 300,

	/* Who was held up for longer does not catch up: queues are finite. */
	MAX_LATE = 20 * 1000000,
};

static uint8_t frame[BURST][MAX_SIZE];
static volatile sig_atomic_t is_asked_to_end;

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
put_be64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

/* Send frames first..first+n; returns 0 or -1.  journal may be NULL. */
static int
send_burst(int fd, uint64_t first, unsigned n, size_t size, FILE *journal)
{
	uint64_t before = clock_ns(CLOCK_REALTIME);
	struct iovec iov[BURST];
	struct mmsghdr msg[BURST];
	unsigned done = 0;

	memset(msg, 0, sizeof(msg));
	for (unsigned i = 0; i < n; i++) {
		put_be64(frame[i] + HEADERS, first + i);
		put_be64(frame[i] + HEADERS + 8, before);
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
	if (journal != NULL)
		fprintf(journal, "%llu %u %llu %llu\n", (unsigned long long)first, n,
		    (unsigned long long)before,
		    (unsigned long long)clock_ns(CLOCK_REALTIME));
	return 0;
}

/* Wait for the monotonic time ns, or for the signal. */
static void
wait_until(uint64_t ns)
{
	struct timespec to = { (time_t)(ns / NS), (long)(ns % NS) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &to, NULL) == EINTR &&
	    !is_asked_to_end)
		;
}

static void
ask_to_end(int number)
{
	(void)number;
	is_asked_to_end = 1;
}

/* Send count frames, or without end; returns how many, or -1. */
static int64_t
send_all(int fd, uint64_t count, size_t size, uint64_t rate, FILE *journal)
{
	uint64_t sent = 0, start = clock_ns(CLOCK_MONOTONIC);
	uint64_t burst = rate / BURSTS_PER_SECOND;

	burst = burst < 1 ? 1 : burst > BURST ? BURST : burst;
	while ((count == 0 || sent < count) && !is_asked_to_end) {
		uint64_t left = count - sent, at = start + sent * NS / rate;
		uint64_t now = clock_ns(CLOCK_MONOTONIC);
		unsigned n = (unsigned)(count != 0 && left < burst ? left : burst);

		if (now > at + MAX_LATE)
			start += now - at;
		wait_until(start + sent * NS / rate);
		if (send_burst(fd, sent, n, size, journal) < 0)
			return -1;
		sent += n;
	}
	return (int64_t)sent;
}

int
main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct sigaction end = { .sa_handler = ask_to_end };
	FILE *journal = NULL;
	uint64_t count, rate;
	int64_t sent;
	size_t size;
	int fd;

	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: blast IFACE COUNT SIZE RATE [JOURNAL]\n");
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
	sigaction(SIGTERM, &end, NULL);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    (argc == 6 && (journal = fopen(argv[5], "we")) == NULL)) {
		perror("blast");
		return 1;
	}
	for (int i = 0; i < BURST; i++)
		make_frame(frame[i], size);
	sent = send_all(fd, count, size, rate, journal);
	if (sent < 0 || (journal != NULL && fclose(journal) != 0)) {
		perror("blast: send");
		return 1;
	}
	printf("%lld\n", (long long)sent);
	return 0;
}
