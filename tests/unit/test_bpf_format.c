/* common/bpf_format: listings as tcpdump prints them. */
#include "tests/unit/bpf_lab.h"

#define ANC(x)	((uint32_t)SKF_AD_OFF + (x))
#define NET(x)	((uint32_t)SKF_NET_OFF + (x))

static void
assert_prints_as_libpcap(const struct bpf_insn_raw *insn, size_t number)
{
	struct bpf_insn theirs;
	char ours[80];

	memcpy(&theirs, insn, sizeof(theirs));
	bpf_insn_format(insn, number, ours, sizeof(ours));
	assert_string_equal(ours, bpf_image(&theirs, (int)number));
}

static void
every_instruction_prints_as_libpcap_prints_it(void **state)
{
	static const uint32_t ks[] = { 0, 7, 0x86dd, 0x80000000, UINT32_MAX, ANC(0), ANC(4),
	    ANC(44), ANC(48), ANC(60), NET(9) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lab_codes); i++) {
		for (size_t j = 0; j < ARRAY_LEN(ks); j++) {
			struct bpf_insn_raw insn = { lab_codes[i], 3, 250, ks[j] };

			/* libpcap does not know the length in X. */
			if (insn.code == (BPF_LDX | BPF_LEN))
				continue;
			assert_prints_as_libpcap(&insn, i * 40);
		}
	}
}

static const struct { int dlt; const char *name, *text; } listings[] = {
	{ LAB_ETHERNET, "EN10MB", "" }, { LAB_ETHERNET, "EN10MB", "udp" },
	{ LAB_ETHERNET, "EN10MB", "tcp port 80" }, { LAB_ETHERNET, "EN10MB", "not port 22" },
	{ LAB_ETHERNET, "EN10MB", "portrange 1-1023" }, { LAB_ETHERNET, "EN10MB", "arp" },
	{ LAB_ETHERNET, "EN10MB", "host 10.0.0.1 and not icmp" },
	{ LAB_ETHERNET, "EN10MB", "src net 10.0.0.0/8 or dst net 192.0.2.0/24" },
	{ LAB_ETHERNET, "EN10MB", "ip6 host 2001:db8::1" },
	{ LAB_ETHERNET, "EN10MB", "ip6 net 2001:db8::/33" },
	{ LAB_ETHERNET, "EN10MB", "vlan" }, { LAB_ETHERNET, "EN10MB", "vlan 5 and udp port 53" },
	{ LAB_ETHERNET, "EN10MB", "vlan 100 and vlan 5 and tcp" },
	{ LAB_ETHERNET, "EN10MB", "mpls 16 and ip" }, { LAB_ETHERNET, "EN10MB", "pppoes 7 and ip6" },
	{ LAB_ETHERNET, "EN10MB", "geneve 100 and udp" },
	{ LAB_ETHERNET, "EN10MB", "ether host 02:00:00:00:00:01" },
	{ LAB_ETHERNET, "EN10MB", "ether broadcast or ether multicast" },
	{ LAB_ETHERNET, "EN10MB", "ether proto 0x88cc" }, { LAB_ETHERNET, "EN10MB", "stp or iso" },
	{ LAB_ETHERNET, "EN10MB", "greater 60 and less 1514" },
	{ LAB_ETHERNET, "EN10MB", "len - 14 > 46" }, { LAB_ETHERNET, "EN10MB", "inbound" },
	{ LAB_ETHERNET, "EN10MB", "outbound and udp" }, { LAB_ETHERNET, "EN10MB", "ifindex 3" },
	{ LAB_ETHERNET, "EN10MB", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0" },
	{ LAB_ETHERNET, "EN10MB", "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420" },
	{ LAB_ETHERNET, "EN10MB", "ip[2:2] - ((ip[0] & 0xf) << 2) > 40" },
	{ LAB_ETHERNET, "EN10MB", "ip[8] * 4 + ip[1] / 2 % 7 = 3" },
	{ LAB_ETHERNET, "EN10MB", "(ip[8] ^ ip[9]) & 7 = 1" },
	{ LAB_ETHERNET, "EN10MB", "1 << ip[8] >= 2" }, { LAB_ETHERNET, "EN10MB", "5 > -ip[8]" },
	{ LAB_ETHERNET, "EN10MB", "ip[12:4] | 1 > ip[16:4]" },
	{ LAB_ETHERNET, "EN10MB", "ether[ether[14] & 15:4] != 0" },
	{ LAB_ETHERNET, "EN10MB", "ip protochain 6 or udp" },
	{ LAB_ETHERNET, "EN10MB", "icmp[icmptype] = icmp-echo" },
	{ LAB_ETHERNET, "EN10MB", "sctp port 9 or igmp or pim" },
	{ LAB_ETHERNET, "EN10MB", "ether[-4048:1] = 1" },
	{ LAB_RAW, "RAW", "udp port 53" }, { LAB_RAW, "RAW", "ip6 and tcp" },
	{ LAB_RAW, "RAW", "net 10.0.0.0/8" }, { LAB_RAW, "RAW", "ip[0] & 0xf > 5" },
	{ LAB_COOKED, "LINUX_SLL2", "udp port 53" }, { LAB_COOKED, "LINUX_SLL2", "inbound" },
	{ LAB_COOKED, "LINUX_SLL2", "ifindex 3 and arp" }, { LAB_COOKED, "LINUX_SLL2", "link[10] = 4" },
	{ LAB_SLL, "LINUX_SLL", "outbound and ip6" }, { LAB_SLL, "LINUX_SLL", "tcp port 443" },
	{ LAB_SLL, "LINUX_SLL", "link[2:2] = 1" },
};

static void
a_listing_is_the_one_that_tcpdump_prints(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(listings); i++) {
		static struct bpf_prog prog;
		char command[256], theirs[128], ours[128];
		FILE *tcpdump;

		lab_compile(listings[i].dlt, listings[i].text, &prog);
		snprintf(command, sizeof(command), "tcpdump -y %s -d '%s' 2>/dev/null",
		    listings[i].name, listings[i].text);
		tcpdump = popen(command, "r");
		assert_non_null(tcpdump);
		for (size_t pc = 0; pc < prog.n; pc++) {
			if (fgets(theirs, sizeof(theirs), tcpdump) == NULL)
				fail_msg("'%s': only %zu instructions", listings[i].text, pc);
			theirs[strcspn(theirs, "\n")] = '\0';
			bpf_insn_format(&prog.insns[pc], pc, ours, sizeof(ours));
			assert_string_equal(ours, theirs);
		}
		assert_null(fgets(theirs, sizeof(theirs), tcpdump));
		assert_int_equal(pclose(tcpdump), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_prints_as_libpcap_prints_it),
		cmocka_unit_test(a_listing_is_the_one_that_tcpdump_prints),
	};

	return cmocka_run_group_tests_name("common/bpf_format", tests, NULL, NULL);
}
