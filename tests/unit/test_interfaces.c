/*
 * server/interfaces: the kernel's messages are understood, damaged ones do no
 * harm, and a real network namespace is listed as it is.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "mutate.h"
#include "server/interfaces_int.h"

/* --- messages as the kernel makes them --- */

static _Alignas(4) uint8_t message[512];
static size_t message_len;

static void
put_attr(uint16_t type, const void *p, size_t len)
{
	struct rtattr attr = { (uint16_t)(sizeof(attr) + len), type };

	memcpy(message + message_len, &attr, sizeof(attr));
	memcpy(message + message_len + sizeof(attr), p, len);
	message_len += (sizeof(attr) + len + 3) & ~(size_t)3;
}

static void
make_link(int index, uint16_t arphrd, unsigned flags, const char *name)
{
	struct ifinfomsg msg = { .ifi_index = index, .ifi_type = arphrd,
	    .ifi_flags = flags };

	memset(message, 0, sizeof(message));
	memcpy(message, &msg, sizeof(msg));
	message_len = sizeof(msg);
	put_attr(IFLA_IFNAME, name, strlen(name) + 1);
}

static void
make_address(uint32_t index, uint8_t family, uint8_t prefix_len)
{
	struct ifaddrmsg msg = { .ifa_family = family, .ifa_index = index,
	    .ifa_prefixlen = prefix_len };

	memset(message, 0, sizeof(message));
	memcpy(message, &msg, sizeof(msg));
	message_len = sizeof(msg);
}

static struct interfaces *
new_list(void)
{
	return calloc(1, sizeof(struct interfaces));
}

static int
take_link(struct interfaces *list)
{
	return interfaces_take_link(list, message, message_len);
}

static void
a_link_message_is_understood(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	struct interfaces *list = new_list();
	const struct interface_info *info;
	uint32_t mtu = 9000;

	(void)state;
	make_link(7, ARPHRD_ETHER, IFF_UP | IFF_RUNNING, "eth0");
	put_attr(IFLA_MTU, &mtu, sizeof(mtu));
	put_attr(IFLA_ADDRESS, mac, sizeof(mac));
	put_attr(IFLA_IFALIAS, "uplink", 7);
	/* A nested kind does not replace an alias. */
	put_attr(IFLA_LINKINFO, "\x09\x00\x01\x00" "veth\0\0\0", 12);
	assert_int_equal(take_link(list), E_OK);
	make_link(8, ARPHRD_NONE, 0, "wg0");
	put_attr(IFLA_LINKINFO | NLA_F_NESTED, "\x0e\x00\x01\x00" "wireguard\0\0", 16);
	assert_int_equal(take_link(list), E_OK);

	assert_int_equal(list->n, 2);
	info = interfaces_find_name(list, "eth0");
	assert_int_equal(info->index, 7);
	assert_int_equal(info->mtu, 9000);
	assert_int_equal(info->arphrd, ARPHRD_ETHER);
	assert_true(info->is_up && info->is_running && !info->is_loopback);
	assert_true(info->has_mac);
	assert_memory_equal(info->mac, mac, 6);
	assert_string_equal(info->description, "uplink");
	info = interfaces_find_index(list, 8);
	assert_string_equal(info->name, "wg0");
	assert_string_equal(info->description, "wireguard");
	assert_false(info->has_mac || info->is_up);
	assert_null(interfaces_find_index(list, 9));
	assert_null(interfaces_find_name(list, "eth1"));
	interfaces_free(list);
}

static void
addresses_go_to_their_interface(void **state)
{
	struct interfaces *list = new_list();
	const struct interface_info *info;
	uint8_t six[16] = { 0xfe, 0x80, [15] = 1 };

	(void)state;
	make_link(3, ARPHRD_ETHER, IFF_UP, "eth0");
	assert_int_equal(take_link(list), E_OK);
	make_address(3, AF_INET, 24);
	put_attr(IFA_LOCAL, "\x0a\x00\x00\x01", 4);
	put_attr(IFA_ADDRESS, "\x0a\x00\x00\x02", 4);	/* the other end */
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);
	make_address(3, AF_INET, 32);
	put_attr(IFA_ADDRESS, "\x0a\x00\x00\x02", 4);
	put_attr(IFA_LOCAL, "\x0a\x00\x00\x03", 4);
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);
	make_address(3, AF_INET6, 64);
	put_attr(IFA_ADDRESS, six, sizeof(six));
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);
	make_address(4, AF_INET, 24);			/* of no interface here */
	put_attr(IFA_LOCAL, "\x0a\x00\x00\x01", 4);
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);
	make_address(3, AF_INET, 24);			/* of a wrong size */
	put_attr(IFA_LOCAL, "\x0a\x00\x00", 3);
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);

	info = &list->items[0];
	assert_int_equal(info->n_addresses, 3);
	assert_string_equal(info->addresses[0], "10.0.0.1/24");
	assert_string_equal(info->addresses[1], "10.0.0.3/32");
	assert_string_equal(info->addresses[2], "fe80::1/64");
	interfaces_free(list);
}

static void
more_addresses_than_a_message_holds_are_left_out(void **state)
{
	struct interfaces *list = new_list();
	uint8_t four[4] = { 10, 0, 0, 0 };

	(void)state;
	make_link(3, ARPHRD_ETHER, IFF_UP, "eth0");
	assert_int_equal(take_link(list), E_OK);
	for (unsigned i = 0; i < PROTO_MAX_ADDRESSES + 5; i++) {
		four[3] = (uint8_t)i;
		make_address(3, AF_INET, 24);
		put_attr(IFA_LOCAL, four, sizeof(four));
		assert_int_equal(interfaces_take_address(list, message,
		    message_len), E_OK);
	}
	assert_int_equal(list->items[0].n_addresses,
	    PROTO_MAX_ADDRESSES);
	interfaces_free(list);
}

static void
messages_that_are_none_are_refused(void **state)
{
	struct interfaces *list = new_list();

	(void)state;
	make_link(3, ARPHRD_ETHER, IFF_UP, "eth0");
	assert_int_equal(interfaces_take_link(list, message,
	    sizeof(struct ifinfomsg) - 1), E_BADMSG);
	assert_int_equal(interfaces_take_link(list, message,
	    sizeof(struct ifinfomsg)), E_BADMSG);	/* no name */
	make_link(0, ARPHRD_ETHER, IFF_UP, "eth0");
	assert_int_equal(take_link(list), E_BADMSG);
	assert_int_equal(interfaces_take_address(list, message,
	    sizeof(struct ifaddrmsg) - 1), E_BADMSG);
	interfaces_free(list);
}

static void
take_damaged_link(const uint8_t *p, size_t len, void *arg)
{
	struct interfaces *list = new_list();
	int code = interfaces_take_link(list, p, len);

	(void)arg;
	assert_true(code == E_OK || code == E_BADMSG);
	for (size_t i = 0; i < list->n; i++)
		assert_true(strlen(list->items[i].name) < IFNAMSIZ);
	interfaces_free(list);
}

static void
take_damaged_address(const uint8_t *p, size_t len, void *arg)
{
	struct interfaces *list = arg;
	int code = interfaces_take_address(list, p, len);

	assert_true(code == E_OK || code == E_BADMSG);
}

static void
damaged_messages_do_no_harm(void **state)
{
	struct interfaces *list = new_list();

	(void)state;
	make_link(7, ARPHRD_ETHER, IFF_UP | IFF_RUNNING, "eth0");
	put_attr(IFLA_IFALIAS, "uplink", 7);
	put_attr(IFLA_LINKINFO, "\x09\x00\x01\x00" "veth\0\0\0", 12);
	assert_int_equal(take_link(list), E_OK);
	mutate_truncate(message, message_len, take_damaged_link, NULL);
	mutate_flip_bits(message, message_len, 512, take_damaged_link, NULL);
	mutate_set_bytes(message, message_len, 512, take_damaged_link, NULL);
	mutate_random(message, message_len, 3000, 5, take_damaged_link, NULL);

	make_address(7, AF_INET, 24);
	put_attr(IFA_LOCAL, "\x0a\x00\x00\x01", 4);
	mutate_truncate(message, message_len, take_damaged_address, list);
	mutate_flip_bits(message, message_len, 512, take_damaged_address, list);
	mutate_random(message, message_len, 3000, 6, take_damaged_address, list);
	interfaces_free(list);
}

static void
a_list_says_why_an_interface_cannot_be_captured(void **state)
{
	struct interfaces *list = new_list();
	const uint32_t permitted[] = { 3, 5 };
	const struct msg_interface *in;
	struct msg_capture_interface capture;
	struct msg msg;

	(void)state;
	make_link(3, ARPHRD_ETHER, IFF_UP | IFF_RUNNING, "eth0");
	assert_int_equal(take_link(list), E_OK);
	make_link(4, ARPHRD_NONE, IFF_UP, "tun0");
	assert_int_equal(take_link(list), E_OK);
	make_link(5, ARPHRD_PPP, 0, "ppp0");
	assert_int_equal(take_link(list), E_OK);
	make_address(3, AF_INET, 24);
	put_attr(IFA_LOCAL, "\x0a\x00\x00\x01", 4);
	assert_int_equal(interfaces_take_address(list, message, message_len), E_OK);

	assert_int_equal(interfaces_to_msg(list, permitted, 2, &msg), E_OK);
	assert_int_equal(msg.type, MSG_INTERFACE_LIST);
	assert_int_equal(msg.interface_list.n, 3);
	in = msg.interface_list.interfaces;
	assert_string_equal(in[0].name, "eth0");
	assert_string_equal(in[0].why_not, "");
	assert_int_equal(in[0].link_type, 1);
	assert_int_equal(in[0].n_addresses, 1);
	assert_string_equal(in[0].addresses[0], "10.0.0.1/24");
	assert_string_equal(in[1].why_not, "not permitted by capagent.conf");
	assert_int_equal(in[1].link_type, 101);
	assert_string_equal(in[2].why_not, "interface is down");
	assert_int_equal(in[2].link_type, 276);
	msg_free(&msg);

	assert_int_equal(interfaces_to_capture(&list->items[0], &capture),
	    E_OK);
	assert_string_equal(capture.name, "eth0");
	assert_int_equal(capture.index, 3);
	assert_int_equal(capture.n_addresses, 1);
	interfaces_free(list);
	assert_string_equal(capture.addresses[0], "10.0.0.1/24");
	free(capture.addresses);

	list = new_list();
	assert_int_equal(interfaces_to_msg(list, NULL, 0, &msg), E_OK);
	assert_int_equal(msg.interface_list.n, 0);
	msg_free(&msg);
	interfaces_free(list);
}

/* --- the kernel --- */

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd == -1 || write(fd, text, strlen(text)) == -1)
		_exit(77);
	close(fd);
}

/* A network namespace of our own; ends the process where it is not allowed. */
static void
enter_namespace(void)
{
	char map[32];

	if (unshare(CLONE_NEWNET) == 0)
		return;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1)
		_exit(77);
	write_file("/proc/self/uid_map", map);
}

static bool
has_address(const struct local_address *addresses, size_t n, const char *text)
{
	struct in6_addr want;
	uint8_t len = strchr(text, ':') != NULL ? 16 : 4;
	size_t found = 0;

	inet_pton(len == 16 ? AF_INET6 : AF_INET, text, &want);
	for (size_t i = 0; i < n; i++)
		if (addresses[i].len == len &&
		    memcmp(addresses[i].bytes, &want, len) == 0)
			found++;
	return found == 1;
}

static int
list_real_namespace(void)
{
	const struct interface_info *info;
	struct interfaces *list = NULL;
	struct local_address *addresses = NULL;
	struct err err = { .code = E_OK };
	size_t n = 0;

	enter_namespace();
	if (system("ip link set lo up && "
	    "ip link add e-a address 02:00:00:00:00:aa mtu 1400 "
	    "type veth peer name e-b && "
	    "ip link set e-a up && ip link set e-b alias 'the other end' && "
	    "ip addr add 10.9.8.7/23 dev e-a && "
	    "ip addr add 10.9.8.7/23 dev e-b && "
	    "ip addr add fd00::5/64 dev e-a nodad") != 0)
		return 77;
	if (interfaces_read(&list, &err) != E_OK)
		return 1;
	info = interfaces_find_name(list, "lo");
	if (info == NULL || info->index != 1 || !info->is_loopback ||
	    !info->is_up || info->arphrd != ARPHRD_LOOPBACK || info->has_mac)
		return 2;
	info = interfaces_find_name(list, "e-a");
	if (info == NULL || !info->is_up || info->mtu != 1400 ||
	    !info->has_mac || memcmp(info->mac, "\x02\0\0\0\0\xaa", 6) != 0 ||
	    strcmp(info->description, "veth") != 0)
		return 3;
	if (info->n_addresses != 2 ||
	    strcmp(info->addresses[0], "10.9.8.7/23") != 0 ||
	    strcmp(info->addresses[1], "fd00::5/64") != 0)
		return 4;
	info = interfaces_find_name(list, "e-b");
	if (info == NULL || info->is_up ||
	    strcmp(info->description, "the other end") != 0)
		return 5;
	interfaces_free(list);
	if (interfaces_local_addresses(&addresses, &n, &err) != E_OK)
		return 6;
	if (!has_address(addresses, n, "127.0.0.1") ||
	    !has_address(addresses, n, "::1") ||
	    !has_address(addresses, n, "10.9.8.7") ||
	    !has_address(addresses, n, "fd00::5"))
		return 7;
	free(addresses);
	return 0;
}

/* More than one answer's worth. */
static int
list_many_interfaces(void)
{
	struct interfaces *list = NULL;

	enter_namespace();
	if (system("for i in $(seq 150); do "
	    "echo link add e$i type veth peer name f$i; "
	    "done | ip -batch -") != 0)
		return 77;
	if (interfaces_read(&list, NULL) != E_OK)
		return 1;
	if (list->n < 301)
		return 2;
	if (interfaces_find_name(list, "f150") == NULL)
		return 3;
	interfaces_free(list);
	return 0;
}

static void
assert_in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77 && getenv("CAPTEST_MUST_RUN") == NULL)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
a_real_namespace_is_listed(void **state)
{
	(void)state;
	assert_in_child(list_real_namespace);
}

static void
a_long_list_comes_in_several_answers(void **state)
{
	(void)state;
	assert_in_child(list_many_interfaces);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_message_is_understood),
		cmocka_unit_test(addresses_go_to_their_interface),
		cmocka_unit_test(more_addresses_than_a_message_holds_are_left_out),
		cmocka_unit_test(messages_that_are_none_are_refused),
		cmocka_unit_test(damaged_messages_do_no_harm),
		cmocka_unit_test(a_list_says_why_an_interface_cannot_be_captured),
		cmocka_unit_test(a_real_namespace_is_listed),
		cmocka_unit_test(a_long_list_comes_in_several_answers),
	};

	return cmocka_run_group_tests_name("server/interfaces", tests, NULL, NULL);
}
