/* common/bpf_headers: all of the headers, nothing of what they carry. */
#include "tests/unit/bpf_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/bpf_headers.h"
#include "common/bytes.h"
#include "tests/unit/frame_maker.h"

enum { SNAPLEN = 262144 };

static const uint32_t link_types[] = { 1, 101, 276 };

static void
make(uint32_t link_type, uint32_t snaplen, struct bpf_prog *ret_prog)
{
	assert_int_equal(bpf_headers_program(link_type, snaplen, ret_prog), E_OK);
	assert_int_equal(bpf_prog_check(ret_prog->insns, ret_prog->n, NULL), E_OK);
}

/* --- the same, read from the packet --- */

static bool
has(const struct lab_frame *f, uint32_t at, uint32_t size)
{
	return at <= f->len && f->len - at >= size;
}

static uint32_t
transport_end(const struct lab_frame *f, uint32_t at, uint8_t protocol)
{
	switch (protocol) {
	case 6:
		if (!has(f, at, 13))
			return f->len;
		return at + (f->data[at + 12] < 0x50 ? 20 : f->data[at + 12] / 16 * 4);
	case 17:
	case 1:
	case 58:
		return at + 8;
	case 132:
		return at + 12;
	default:
		return at;
	}
}

static uint32_t
ipv4_end(const struct lab_frame *f, uint32_t at)
{
	uint32_t end;

	if (!has(f, at, 20))
		return f->len;
	if (f->data[at] < 0x45 || f->data[at] > 0x4f)
		return at;
	end = at + f->data[at] % 16 * 4;
	if (get_be16(f->data + at + 6) % 0x2000 != 0)
		return end;
	return transport_end(f, end, f->data[at + 9]);
}

static uint32_t
ipv6_end(const struct lab_frame *f, uint32_t at)
{
	uint8_t protocol;

	if (!has(f, at, 40))
		return f->len;
	if (f->data[at] / 16 != 6)
		return at;
	protocol = f->data[at + 6];
	at += 40;
	for (unsigned passed = 0; passed < 6; passed++) {
		bool is_fragment = protocol == 44;

		if (protocol != 0 && protocol != 43 && protocol != 44 && protocol != 60)
			break;
		if (!has(f, at, 8))
			return f->len;
		if (is_fragment && get_be16(f->data + at + 2) / 8 != 0)
			return at + 8;
		protocol = f->data[at];
		at += is_fragment ? 8 : 8 * (f->data[at + 1] + 1U);
	}
	return transport_end(f, at, protocol);
}

static uint32_t
network_end(const struct lab_frame *f, uint32_t at, uint16_t type, unsigned n_tags)
{
	bool is_tag = type == 0x8100 || type == 0x88a8 || type == 0x9100;

	if (type == 0x800)
		return ipv4_end(f, at);
	if (type == 0x86dd)
		return ipv6_end(f, at);
	if (type == 0x806)
		return at + 28;
	if (!is_tag || n_tags == 0)
		return at;
	if (!has(f, at, 4))
		return f->len;
	return network_end(f, at + 4, get_be16(f->data + at + 2), n_tags - 1);
}

static uint32_t
version_end(const struct lab_frame *f)
{
	if (f->len == 0)
		return 0;
	return f->data[0] / 16 == 4 ? ipv4_end(f, 0) : f->data[0] / 16 == 6 ? ipv6_end(f, 0) : 0;
}

/* How many bytes should be kept of those that are there. */
static uint32_t
expected(uint32_t link_type, const struct lab_frame *f, const struct bpf_aux *aux)
{
	uint32_t end;

	if (link_type == 1)
		end = f->len < 14 ? f->len :
		    network_end(f, 14, get_be16(f->data + 12), 3);
	else if (link_type == 101 || (aux->packet_type == PACKET_OUTGOING &&
	    (aux->protocol == 0x8100 || aux->protocol == 0x88a8 || aux->protocol == 0x9100)))
		end = version_end(f);
	else
		end = network_end(f, 0, aux->protocol, 3);
	if (end == 0)
		end = 1;
	return end < f->len ? end : f->len;
}

/* --- known frames --- */

/* How many of the bytes that are there are kept. */
static uint32_t
kept(const struct bpf_prog *prog, const struct lab_frame *f, const struct bpf_aux *aux)
{
	uint32_t answer = lab_run(prog, f, aux);

	assert_true(answer > 0);
	return answer < f->len ? answer : f->len;
}

static const struct { const char *name; uint32_t end; } known[LAB_N_ETHERNET] = {
	{ "udp", 14 + 20 + 8 }, { "tcp", 14 + 20 + 20 }, { "icmp", 14 + 20 + 8 },
	{ "fragment", 14 + 20 }, { "udp6", 14 + 40 + 8 }, { "arp", 14 + 28 },
	{ "options", 14 + 24 + 20 }, { "multicast", 14 + 20 + 8 },
};

static void
known_frames_are_cut_behind_their_headers_on_every_link_type(void **state)
{
	struct bpf_prog ethernet, raw, cooked;

	(void)state;
	make(1, SNAPLEN, &ethernet);
	make(101, SNAPLEN, &raw);
	make(276, SNAPLEN, &cooked);
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i), ip = lab_strip(&f, 14);
		struct bpf_aux aux = { .protocol = get_be16(f.data + 12) };

		assert_string_equal(f.name, known[i].name);
		assert_int_equal(kept(&ethernet, &f, NULL), known[i].end);
		assert_int_equal(kept(&cooked, &ip, &aux), known[i].end - 14);
		/* ARP is nothing that raw IP has: a byte, because 0 rejects. */
		assert_int_equal(kept(&raw, &ip, NULL),
		    aux.protocol == 0x806 ? 1 : known[i].end - 14);
	}
}

static void
tags_in_line_are_passed(void **state)
{
	static const uint16_t tpids[] = { 0x8100, 0x88a8, 0x9100 };
	struct bpf_prog prog;

	(void)state;
	make(1, SNAPLEN, &prog);
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i);

		for (uint32_t n = 1; n <= 3; n++) {
			f = lab_tag(&f, tpids[(i + n) % 3], 0x6005);
			assert_int_equal(kept(&prog, &f, NULL), known[i].end + 4 * n);
		}
		/* A fourth is not: its type is the last that is kept. */
		f = lab_tag(&f, 0x8100, 1);
		assert_int_equal(kept(&prog, &f, NULL), 14 + 12);
	}
}

/* The answer is in the socket's terms: 4 bytes come on top. */
static void
a_stripped_tag_makes_no_difference(void **state)
{
	const struct bpf_aux aux = { .has_vlan = true, .vlan_tpid = 0x8100, .vlan_tci = 5 };
	struct bpf_prog prog;

	(void)state;
	make(1, SNAPLEN, &prog);
	for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
		struct lab_frame f = lab_ethernet(i);

		assert_int_equal(kept(&prog, &f, &aux), known[i].end);
	}
}

static void
a_cooked_packet_may_have_a_tag_in_front(void **state)
{
	struct lab_frame f = lab_ethernet(0), tagged = lab_tag(&f, 0x88a8, 0x4005);
	struct lab_frame ip = lab_strip(&f, 14), tag_and_ip = lab_strip(&tagged, 14);
	struct bpf_aux aux = { .protocol = 0x8100 };
	struct bpf_prog prog;

	(void)state;
	make(276, SNAPLEN, &prog);
	assert_int_equal(kept(&prog, &tag_and_ip, &aux), 4 + 28);
	aux.packet_type = PACKET_OUTGOING;
	assert_int_equal(kept(&prog, &ip, &aux), 28);
}

static void
the_answer_is_never_more_than_the_snaplen(void **state)
{
	static const uint32_t snaplens[] = { 1, 14, 41, 42, 43, 100 };
	struct bpf_prog prog;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(snaplens); s++) {
		make(1, snaplens[s], &prog);
		for (size_t i = 0; i < LAB_N_ETHERNET; i++) {
			struct lab_frame f = lab_ethernet(i);

			assert_int_equal(lab_run(&prog, &f, NULL),
			    known[i].end < snaplens[s] ? known[i].end : snaplens[s]);
		}
	}
}

static void
link_types_without_known_headers_are_refused(void **state)
{
	static struct bpf_prog prog, before;

	(void)state;
	memset(&prog, 0x5a, sizeof(prog));
	before = prog;
	assert_int_equal(bpf_headers_program(127, SNAPLEN, &prog), E_FILTER);
	assert_memory_equal(&prog, &before, sizeof(prog));
}

/* --- random frames --- */

enum { N_RANDOM = 60000 };

/* The bytes in memory of their own size, so that a sanitizer sees a load beyond. */
static uint32_t
run_exact(const struct bpf_prog *prog, const struct lab_frame *f, const struct bpf_aux *aux)
{
	uint8_t *data = malloc(f->len + (f->len == 0));
	uint32_t answer;

	memcpy(data, f->data, f->len);
	answer = bpf_prog_run(prog->insns, prog->n, data, f->len, f->len, aux);
	free(data);
	return answer;
}

/* What the generator must have made, or the test says little. */
struct seen { unsigned cut, whole, options, extensions, tagged, least; };

static void
count(struct seen *seen, const struct lab_frame *f, const struct made *m, uint32_t want)
{
	seen->cut += want < f->len;
	seen->whole += want == f->len;
	seen->options += m->ipv4_options > 0;
	seen->extensions += m->n_extensions > 1;
	seen->tagged += m->n_tags > 1;
	seen->least += want <= 14;
}

static void
random_frames_are_cut_where_a_parser_would(void **state)
{
	struct bpf_prog progs[ARRAY_LEN(link_types)];
	struct lab_kernel k = lab_kernel_open();
	struct seen seen = { 0 };
	uint64_t seed = 0x9e3779b97f4a7c15U;

	(void)state;
	for (size_t l = 0; l < ARRAY_LEN(link_types); l++)
		make(link_types[l], SNAPLEN, &progs[l]);
	assert_true(lab_kernel_attach(&k, progs[0].insns, progs[0].n));
	for (unsigned round = 0; round < N_RANDOM; round++) {
		size_t l = round % ARRAY_LEN(link_types);
		struct made m;
		struct lab_frame f = maker_frame(&seed, link_types[l], &m);
		uint32_t want = expected(link_types[l], &f, &m.aux);
		uint32_t got = run_exact(&progs[l], &f, &m.aux);

		if (got == 0 || (got < f.len ? got : f.len) != (f.len == 0 ? 0 : want))
			fail_msg("round %u, link type %u, %u bytes: %u instead of %u", round,
			    link_types[l], f.len, got, want);
		if (link_types[l] == 1 && f.len > 0)
			assert_int_equal(lab_kernel_run(&k, f.data, f.len), want);
		count(&seen, &f, &m, want);
	}
	lab_kernel_close(&k);
	assert_true(seen.cut > N_RANDOM / 4);
	assert_true(seen.whole > N_RANDOM / 20);
	assert_true(seen.options > 1000 && seen.extensions > 1000);
	assert_true(seen.tagged > 1000 && seen.least > 1000);
}

/* --- a real interface --- */

struct wire { int out, in; };

static int
open_packet_socket(const char *name, int type, const struct bpf_prog *prog)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET,
	    .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name) };
	int on = 1, fd = socket(AF_PACKET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct lab_kernel k = { { -1, fd } };

	assert_true(fd >= 0 && addr.sll_ifindex > 0);
	assert_true(lab_kernel_attach(&k, prog->insns, prog->n));
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static uint32_t
send_over(const struct wire *w, const struct lab_frame *f)
{
	static uint8_t buf[2048];
	struct pollfd pfd = { .fd = w->in, .events = POLLIN };
	ssize_t got;

	assert_int_equal(send(w->out, f->data, f->len, 0), f->len);
	if (poll(&pfd, 1, 5000) != 1)
		return 0;
	got = recv(w->in, buf, sizeof(buf), 0);
	assert_true(got >= 0);
	return (uint32_t)got;
}

/*
 * What the filter of the receiver sees of a frame: the kernel has taken the
 * outer tag off.  False where it takes the frame for broken.
 */
static bool
receive(const struct lab_frame *sent, struct lab_frame *ret_seen, struct bpf_aux *ret_aux)
{
	uint16_t type;

	if (sent->len < 14)
		return false;
	type = get_be16(sent->data + 12);
	*ret_seen = *sent;
	*ret_aux = (struct bpf_aux){ .packet_type = PACKET_OTHERHOST, .protocol = type };
	if (type != 0x8100 && type != 0x88a8)
		return true;
	if (sent->len < 20)
		return false;
	ret_aux->protocol = get_be16(sent->data + 16);
	memmove(ret_seen->data + 12, sent->data + 16, sent->len - 16);
	ret_seen->len -= 4;
	return true;
}

/* How many frames over a real wire are not cut where they should be. */
static unsigned
compare_random(const struct wire *w, uint32_t link_type)
{
	uint64_t seed = 0xd1b54a32d192ed03U + link_type;
	unsigned n_wrong = 0, n_sent = 0;

	for (unsigned round = 0; round < 2000; round++) {
		struct made m;
		struct lab_frame f = maker_frame(&seed, 1, &m), seen;
		uint32_t got, want;

		f.data[0] = 2;			/* for no host */
		if (!receive(&f, &seen, &m.aux))
			continue;
		if (link_type == 276)
			seen = lab_strip(&seen, 14);
		got = send_over(w, &f);
		want = seen.len == 0 ? 0 : expected(link_type, &seen, &m.aux);
		if (got != want)
			fprintf(stderr, "round %u, link type %u, %u bytes: %u instead of %u\n",
			    round, link_type, f.len, got, want);
		n_wrong += got != want;
		n_sent++;
	}
	assert_true(n_sent > 1500);
	return n_wrong;
}

/* In a child, whose namespace ends with it.  77: not allowed here. */
static int
run_over_veth(void)
{
	struct bpf_prog ethernet, cooked, all = { .n = 1, .insns = { { .code = BPF_RET } } };
	struct wire w;
	int fd;

	if (unshare(CLONE_NEWNET) == -1)
		return 77;
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		assert_int_equal(write(fd, "1", 1), 1);
		close(fd);
	}
	if (system("ip link add v0 type veth peer name v1 && ip link set v0 up && "
	    "ip link set v1 up") != 0)
		return 77;
	make(1, SNAPLEN, &ethernet);
	make(276, SNAPLEN, &cooked);
	w.out = open_packet_socket("v0", SOCK_RAW, &all);
	w.in = open_packet_socket("v1", SOCK_RAW, &ethernet);
	if (compare_random(&w, 1) != 0)
		return 1;
	close(w.in);
	w.in = open_packet_socket("v1", SOCK_DGRAM, &cooked);
	return compare_random(&w, 276) != 0;
}

static void
the_kernel_cuts_frames_of_a_wire_there(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(run_over_veth());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77 && getenv("CAPTEST_MUST_RUN") == NULL)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_frames_are_cut_behind_their_headers_on_every_link_type),
		cmocka_unit_test(tags_in_line_are_passed),
		cmocka_unit_test(a_stripped_tag_makes_no_difference),
		cmocka_unit_test(a_cooked_packet_may_have_a_tag_in_front),
		cmocka_unit_test(the_answer_is_never_more_than_the_snaplen),
		cmocka_unit_test(link_types_without_known_headers_are_refused),
		cmocka_unit_test(random_frames_are_cut_where_a_parser_would),
		cmocka_unit_test(the_kernel_cuts_frames_of_a_wire_there),
	};

	return cmocka_run_group_tests_name("common/bpf_headers", tests, NULL, NULL);
}
