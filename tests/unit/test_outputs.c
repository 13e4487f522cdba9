/* client/outputs: which packets are in which file, and what is said there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "client/outputs.h"
#include "client/resume_record.h"
#include "common/bytes.h"
#include "loop_lab.h"

enum { ETHERNET = 1, RAW_IP = 101 };

struct lab {
	char		 dir[32];
	char		 path[64];
	struct outputs_config cfg;
	struct outputs	*o;
	struct err	 err;
};

static void
ignore_event(enum outfile_event event, const struct err *err, void *arg)
{
	(void)event;
	(void)err;
	(void)arg;
}

static void
start(struct lab *lab, const struct sink_ops *ops, bool splits, const char *file)
{
	memset(lab, 0, sizeof(*lab));
	strcpy(lab->dir, "/tmp/capclient-test-XXXXXX");
	assert_non_null(mkdtemp(lab->dir));
	snprintf(lab->path, sizeof(lab->path), "%s/%s", lab->dir, file);
	lab->cfg = (struct outputs_config){
		.loop = loop_new(&lab->err), .path = lab->path, .ops = ops,
		.split_by_link_type = splits, .program = "test", .snaplen = 262144,
		.fn = ignore_event,
	};
	assert_non_null(lab->cfg.loop);
	lab->o = outputs_new(&lab->cfg, &lab->err);
	assert_non_null(lab->o);
}

static void
stop(struct lab *lab)
{
	assert_int_equal(outputs_stop(lab->o, 5000, &lab->err), E_OK);
}

static void
finish(struct lab *lab)
{
	char command[64];

	outputs_free(lab->o);
	loop_free(lab->cfg.loop);
	snprintf(command, sizeof(command), "rm -r %s", lab->dir);
	assert_int_equal(system(command), 0);
}

/* The hint that comes with it, or NULL. */
static const char *
add(struct lab *lab, const char *name, uint32_t link_type)
{
	const struct sink_interface iface = {
		.name = name, .description = "", .os = "", .filter = "",
		.comment = "", .link_type = link_type,
	};
	const char *hint = NULL;

	assert_int_equal(outputs_add_interface(lab->o, &iface, &hint, &lab->err),
	    E_OK);
	return hint;
}

static void
write_packet(struct lab *lab, uint32_t iface, uint32_t len)
{
	static uint8_t data[262144];
	const struct packet_ref packet = {
		.meta = { .time = { NS_PER_S }, .captured_len = len,
		    .original_len = len, .iface = iface },
		.data = data,
	};

	assert_int_equal(outputs_packet(lab->o, &packet, &lab->err), E_OK);
}

static void
write_stats(struct lab *lab, uint32_t iface, const char *comment)
{
	const struct sink_stats stats = { .received = 1 };

	assert_int_equal(outputs_stats(lab->o, iface, &stats, comment, &lab->err),
	    E_OK);
}

/* What tshark reads of each packet in dir/file. */
static void
assert_fields(const struct lab *lab, const char *file, const char *fields,
    const char *want)
{
	char command[512], got[4096];
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "tshark -r %s/%s -T fields %s 2>/dev/null",
	    lab->dir, file, fields);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(got, 1, sizeof(got) - 1, pipe);
	got[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
	assert_string_equal(got, want);
}

/* Does the file hold these bytes? */
static bool
holds(const struct lab *lab, const char *file, const char *text)
{
	char path[128], bytes[65536];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", lab->dir, file);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	return memmem(bytes, n, text, strlen(text)) != NULL;
}

/* How often does it? */
static int
count(const struct lab *lab, const char *file, const char *text)
{
	char command[256];
	FILE *pipe;
	int n = -1;

	snprintf(command, sizeof(command), "grep -ao '%s' %s/%s | wc -l", text, lab->dir, file);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%d", &n), 1);
	assert_int_equal(pclose(pipe), 0);
	return n;
}

static void
a_pcapng_takes_every_link_type_and_says_so_once(void **state)
{
	struct lab lab;
	const char *hint;

	(void)state;
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	assert_null(add(&lab, "eth0", ETHERNET));
	assert_null(add(&lab, "eth1", ETHERNET));
	write_packet(&lab, 1, 60);
	hint = add(&lab, "tun0", RAW_IP);
	assert_non_null(hint);
	assert_non_null(strstr(hint, "EN10MB"));
	assert_non_null(strstr(hint, "RAW"));
	assert_non_null(strstr(hint, "--split-by-linktype"));
	assert_null(add(&lab, "tun1", RAW_IP));
	write_packet(&lab, 3, 60);
	stop(&lab);
	assert_int_equal(outputs_packets_written(lab.o), 2);
	assert_fields(&lab, "x.pcapng", "-e frame.interface_name", "eth1\ntun1\n");
	finish(&lab);
}

static void
a_pcap_merges_interfaces_of_one_type_and_counts_others(void **state)
{
	struct lab lab;
	const char *hint;

	(void)state;
	start(&lab, &sink_pcap_ops, false, "x.pcap");
	assert_null(add(&lab, "eth0", ETHERNET));
	hint = add(&lab, "eth1", ETHERNET);
	assert_string_equal(hint, "several interfaces in one pcap file: which one a "
	    "packet came from is not kept: use -w x.pcapng");
	hint = add(&lab, "tun0", RAW_IP);
	assert_non_null(hint);
	assert_non_null(strstr(hint, "'tun0'"));
	assert_non_null(strstr(hint, "-w x.pcapng"));
	assert_null(add(&lab, "tun1", RAW_IP));
	assert_null(add(&lab, "eth2", ETHERNET));
	assert_true(outputs_holds(lab.o, 0));
	assert_true(outputs_holds(lab.o, 1));
	assert_false(outputs_holds(lab.o, 2));
	assert_false(outputs_holds(lab.o, 3));
	assert_true(outputs_holds(lab.o, 4));
	assert_false(outputs_holds(lab.o, 5));
	write_packet(&lab, 0, 60);
	write_packet(&lab, 4, 61);
	write_stats(&lab, 2, "");
	stop(&lab);
	assert_int_equal(outputs_packets_written(lab.o), 2);
	assert_fields(&lab, "x.pcap", "-e frame.len", "60\n61\n");
	finish(&lab);
}

static void
mixed_types_in_a_pcap_are_refused_before_a_file_is_made(void **state)
{
	static const uint32_t types[] = { ETHERNET, ETHERNET, RAW_IP };
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcap_ops, false, "x.pcap");
	assert_int_equal(outputs_check(&lab.cfg, types, 2, &lab.err), E_OK);
	assert_int_equal(outputs_check(&lab.cfg, types, 3, &lab.err), E_OUTPUT);
	assert_non_null(strstr(lab.err.what, "-w x.pcapng"));
	assert_non_null(strstr(lab.err.what, "--split-by-linktype"));
	assert_int_not_equal(access(lab.path, F_OK), 0);
	lab.cfg.split_by_link_type = true;
	assert_int_equal(outputs_check(&lab.cfg, types, 3, &lab.err), E_OK);
	lab.cfg.split_by_link_type = false;
	lab.cfg.ops = &sink_pcapng_ops;
	assert_int_equal(outputs_check(&lab.cfg, types, 3, &lab.err), E_OK);
	finish(&lab);
}

static void
split_files_are_complete_each(void **state)
{
	static const struct sink_ops *const formats[] = {
		&sink_pcapng_ops, &sink_pcap_ops,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct lab lab;

		start(&lab, formats[i], true, "a.b.cap");
		assert_null(add(&lab, "eth0", ETHERNET));
		assert_null(add(&lab, "tun0", RAW_IP));
		write_packet(&lab, 1, 80);
		write_packet(&lab, 0, 60);
		(void)add(&lab, "tun1", RAW_IP);
		write_packet(&lab, 2, 81);
		for (uint32_t n = 0; n < 3; n++)
			write_stats(&lab, n, "");
		stop(&lab);
		assert_int_equal(outputs_packets_written(lab.o), 3);
		assert_fields(&lab, "a.b.EN10MB.cap", "-e frame.len", "60\n");
		assert_fields(&lab, "a.b.RAW.cap", "-e frame.len", "80\n81\n");
		assert_int_not_equal(access(lab.path, F_OK), 0);
		finish(&lab);
	}
}

static void
the_link_type_stands_before_a_suffix_if_there_is_one(void **state)
{
	static const struct { const char *path, *want; } cases[] = {
		{ "x", "x.EN10MB" }, { "x.pcapng", "x.EN10MB.pcapng" },
		{ ".hidden", ".hidden.EN10MB" }, { "x.", "x.EN10MB." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab lab;

		start(&lab, &sink_pcapng_ops, true, cases[i].path);
		assert_null(add(&lab, "eth0", ETHERNET));
		write_packet(&lab, 0, 60);
		stop(&lab);
		assert_fields(&lab, cases[i].want, "-e frame.len", "60\n");
		finish(&lab);
	}
}

static void
more_link_types_than_files_are_counted_only(void **state)
{
	struct lab lab;
	const char *hint = NULL;

	(void)state;
	start(&lab, &sink_pcapng_ops, true, "x.pcapng");
	for (uint32_t i = 0; i < OUTPUTS_MAX; i++)
		assert_null(add(&lab, "x", 200 + i));
	hint = add(&lab, "one", 999);
	assert_non_null(hint);
	assert_non_null(strstr(hint, "'one'"));
	assert_false(outputs_holds(lab.o, OUTPUTS_MAX));
	stop(&lab);
	finish(&lab);
}

static void
notes_and_gaps_stand_beside_the_next_packet_of_each_file(void **state)
{
	const struct msg_gap gap = { .packets = 5, .first = { NS_PER_S },
	    .last = { NS_PER_S }, .reason = GAP_LOG_FULL };
	struct lab lab;

	(void)state;
	setenv("TZ", "UTC", 1);
	start(&lab, &sink_pcapng_ops, true, "x.pcapng");
	assert_null(add(&lab, "eth0", ETHERNET));
	assert_null(add(&lab, "tun0", RAW_IP));
	write_packet(&lab, 0, 60);
	outputs_note(lab.o, "link down");
	outputs_gap(lab.o, &gap);
	outputs_note(lab.o, "link up");
	outputs_gap(lab.o, &gap);
	write_packet(&lab, 0, 61);
	write_packet(&lab, 0, 62);
	write_stats(&lab, 0, "");
	write_stats(&lab, 1, "3 freezes");
	stop(&lab);
	assert_fields(&lab, "x.EN10MB.pcapng", "-e frame.len -e frame.comment "
	    "-e frame.drop_count",
	    "60\t\t\n61\t10 packets missing here: agent buffer full, 00:00:01.0 to "
	    "00:00:01.0,link down,link up\t\n62\t\t\n");
	/* The other file had no packet any more. */
	assert_true(holds(&lab, "x.RAW.pcapng", "10 packets missing"));
	assert_true(holds(&lab, "x.RAW.pcapng", "link up"));
	assert_true(holds(&lab, "x.RAW.pcapng", "3 freezes"));
	assert_false(holds(&lab, "x.EN10MB.pcapng", "3 freezes"));
	finish(&lab);
}

static void
each_interface_tells_of_its_own_losses_once(void **state)
{
	uint64_t lost[] = { 3, 0, 4 }, more[] = { 1, 2, 0, 99 };
	const struct msg_gap full = { .packets = 7, .reason = GAP_LOG_FULL,
	    .n_interfaces = 3, .by_interface = lost };
	const struct msg_gap stopped = { .packets = 3, .reason = GAP_INTERRUPTED,
	    .n_interfaces = 4, .by_interface = more };
	struct lab lab;

	(void)state;
	setenv("TZ", "UTC", 1);
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	for (int i = 0; i < 3; i++)
		(void)add(&lab, "eth", ETHERNET);
	outputs_gap(lab.o, &full);
	outputs_gap(lab.o, &stopped);
	outputs_gap(lab.o, &full);
	lost[0] = lost[1] = lost[2] = 1000;	/* borrowed for the call only */
	write_packet(&lab, 1, 60);
	write_packet(&lab, 0, 61);
	write_packet(&lab, 1, 62);
	write_packet(&lab, 2, 63);
	write_packet(&lab, 0, 64);
	stop(&lab);
	assert_fields(&lab, "x.pcapng", "-e frame.len -e frame.drop_count",
	    "60\t2\n61\t7\n62\t\n63\t8\n64\t\n");
	/* One comment for each reason, and those of one reason joined. */
	assert_fields(&lab, "x.pcapng", "-Y frame.comment -e frame.len", "60\n");
	assert_true(holds(&lab, "x.pcapng", "14 packets missing"));
	assert_true(holds(&lab, "x.pcapng", "3 packets missing"));
	finish(&lab);
}

static void
a_hole_is_told_whatever_else_there_is(void **state)
{
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	assert_null(add(&lab, "eth0", ETHERNET));
	for (int i = 0; i < 100; i++)
		outputs_note(lab.o, "noise");
	outputs_hole(lab.o, "nobody captured");
	write_packet(&lab, 0, 60);
	write_packet(&lab, 0, 61);
	stop(&lab);
	assert_fields(&lab, "x.pcapng", "-Y 'frame.comment == \"nobody captured\"' "
	    "-e frame.len", "60\n");
	assert_true(holds(&lab, "x.pcapng", "more events"));
	finish(&lab);
}

static void
a_single_interface_has_all_the_losses(void **state)
{
	const struct msg_gap gap = { .packets = 5, .reason = GAP_LOG_FULL };
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	assert_null(add(&lab, "eth0", ETHERNET));
	outputs_gap(lab.o, &gap);
	write_packet(&lab, 0, 60);
	write_packet(&lab, 0, 60);
	stop(&lab);
	assert_fields(&lab, "x.pcapng", "-e frame.drop_count", "5\n\n");
	finish(&lab);
}

static void
words_never_shorten_a_packet(void **state)
{
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	assert_null(add(&lab, "eth0", ETHERNET));
	outputs_note(lab.o, "a note");
	write_packet(&lab, 0, 262144);
	write_packet(&lab, 0, 60);
	stop(&lab);
	assert_int_equal(outputs_cut(lab.o), 0);
	assert_fields(&lab, "x.pcapng", "-e frame.len -e frame.comment",
	    "262144\t\n60\ta note\n");
	finish(&lab);
}

static void
a_mark_is_reached_when_everything_before_it_is_written(void **state)
{
	struct lab lab;
	char path[sizeof(lab.path) + 32];
	int reader;

	(void)state;
	start(&lab, &sink_pcapng_ops, true, "x.pcapng");
	/* One of the files waits for its reader. */
	snprintf(path, sizeof(path), "%s/x.RAW.pcapng", lab.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(add(&lab, "eth0", ETHERNET));
	assert_null(add(&lab, "tun0", RAW_IP));
	write_packet(&lab, 1, 60);
	assert_int_equal(outputs_mark(lab.o, NULL, 0), E_OK);
	loop_lab_run_ms(lab.cfg.loop, 20);
	assert_false(outputs_has_reached_mark(lab.o));
	assert_false(outputs_is_flushed(lab.o));
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	stop(&lab);
	close(reader);
	assert_true(outputs_has_reached_mark(lab.o));
	assert_true(outputs_is_flushed(lab.o));
	finish(&lab);
}

/* --- going on with a file --- */

static void
know(struct lab *lab, const char *name, uint32_t link_type)
{
	const struct sink_interface iface = {
		.name = name, .description = "", .os = "", .filter = "",
		.comment = "", .link_type = link_type,
	};
	const char *hint = NULL;

	assert_int_equal(outputs_add_known_interface(lab->o, &iface, &hint, &lab->err),
	    E_OK);
}

/* Let its record be opened, and go on with it. */
static void
restart(struct lab *lab)
{
	struct resume_record_state s;

	outputs_free(lab->o);
	assert_int_equal(resume_record_open(lab->path, RESUME_RECORD_OLD, &lab->cfg.record,
	    &lab->err), E_OK);
	assert_int_equal(resume_record_read(lab->cfg.record, &s, &lab->err), E_OK);
	lab->cfg.is_resumed = true;
	lab->cfg.resume_at = s.offset;
	lab->o = outputs_new(&lab->cfg, &lab->err);
	assert_non_null(lab->o);
}

static void
start_recorded(struct lab *lab, const struct sink_ops *ops, const char *file)
{
	start(lab, ops, false, file);
	outputs_free(lab->o);
	assert_int_equal(resume_record_open(lab->path, RESUME_RECORD_NEW, &lab->cfg.record,
	    &lab->err), E_OK);
	lab->o = outputs_new(&lab->cfg, &lab->err);
	assert_non_null(lab->o);
}

static void
a_resumed_file_reads_as_if_nothing_had_been(void **state)
{
	static const struct { const struct sink_ops *ops; const char *file; } cases[] = {
		{ &sink_pcapng_ops, "x.pcapng" }, { &sink_pcap_ops, "x.pcap" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct lab lab;

		start_recorded(&lab, cases[i].ops, cases[i].file);
		(void)add(&lab, "eth0", ETHERNET);
		(void)add(&lab, "eth1", ETHERNET);
		write_packet(&lab, 0, 60);
		assert_int_equal(outputs_mark(lab.o, (uint8_t *)strdup("x"), 1), E_OK);
		write_packet(&lab, 1, 61);
		write_stats(&lab, 0, "");
		stop(&lab);
		restart(&lab);
		know(&lab, "eth0", ETHERNET);
		know(&lab, "eth1", ETHERNET);
		(void)add(&lab, "eth2", ETHERNET);
		write_packet(&lab, 1, 61);
		write_packet(&lab, 2, 62);
		for (uint32_t n = 0; n < 3; n++) {
			write_stats(&lab, n, "final counters");
			write_stats(&lab, n, "never written");
		}
		assert_int_equal(outputs_mark(lab.o, NULL, 0), E_STATE);
		stop(&lab);
		assert_int_equal(outputs_packets_written(lab.o), 2);
		assert_fields(&lab, cases[i].file, "-e frame.len", "60\n61\n62\n");
		if (i == 0) {
			assert_fields(&lab, "x.pcapng", "-e frame.interface_name",
			    "eth0\neth1\neth2\n");
			assert_int_equal(count(&lab, "x.pcapng", "final counters"), 3);
			assert_false(holds(&lab, "x.pcapng", "never written"));
		}
		outputs_forget(lab.o);
		assert_int_equal(access(lab.path, F_OK), 0);
		strcat(lab.path, ".resume");
		assert_int_not_equal(access(lab.path, F_OK), 0);
		finish(&lab);
	}
}

static void
another_format_is_not_resumed(void **state)
{
	const struct sink_interface iface = {
		.name = "eth0", .description = "", .os = "", .filter = "",
		.comment = "", .link_type = ETHERNET,
	};
	const char *hint = NULL;
	struct lab lab;

	(void)state;
	start_recorded(&lab, &sink_pcapng_ops, "x.pcapng");
	(void)add(&lab, "eth0", ETHERNET);
	assert_int_equal(outputs_mark(lab.o, NULL, 0), E_OK);
	stop(&lab);
	lab.cfg.ops = &sink_pcap_ops;
	restart(&lab);
	assert_int_equal(outputs_add_known_interface(lab.o, &iface, &hint, &lab.err),
	    E_OUTPUT);
	assert_non_null(strstr(lab.err.what, "another format"));
	finish(&lab);
}

static void
a_record_without_a_file_does_not_stay(void **state)
{
	struct lab lab;

	(void)state;
	start_recorded(&lab, &sink_pcapng_ops, "x.pcapng");
	outputs_free(lab.o);
	lab.o = NULL;
	assert_int_equal(rmdir(lab.dir), 0);
	loop_free(lab.cfg.loop);
}

/* --- what is not written --- */

static void
unwritten_packets_are_known_by_interface(void **state)
{
	struct rlimit small = { 0, RLIM_INFINITY }, old;
	uint64_t by_interface[4], written[3] = { 0 }, sum = 0;
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcapng_ops, false, "x.pcapng");
	(void)add(&lab, "eth0", ETHERNET);
	(void)add(&lab, "eth1", ETHERNET);
	(void)add(&lab, "eth2", ETHERNET);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_cur = 5000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (uint32_t i = 0; i < 1000; i++)
		write_packet(&lab, i % 7 % 3, 60);
	assert_int_not_equal(outputs_stop(lab.o, 10, &lab.err), E_OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	for (uint64_t i = 0; i < outputs_packets_written(lab.o); i++)
		written[i % 7 % 3]++;
	outputs_unwritten(lab.o, by_interface, 4);
	for (uint32_t i = 0; i < 3; i++)
		sum += by_interface[i] + written[i];
	assert_int_equal(sum, 1000);
	/* 1000 = 142 * 7 + 6: 3, 2 and 2 of seven, and 2 each of the rest. */
	assert_int_equal(by_interface[0] + written[0], 142 * 3 + 2);
	assert_int_equal(by_interface[1] + written[1], 142 * 2 + 2);
	assert_int_equal(by_interface[2] + written[2], 142 * 2 + 2);
	assert_int_equal(by_interface[3], 0);
	assert_true(written[2] > 0 && by_interface[2] > 0);
	assert_fields(&lab, "x.pcapng", "-Y 'frame.number == 8' -e frame.interface_name",
	    "eth0\n");
	finish(&lab);
}

static void
a_file_that_cannot_be_made_is_an_error(void **state)
{
	const struct sink_interface iface = {
		.name = "eth0", .description = "", .os = "", .filter = "",
		.comment = "", .link_type = ETHERNET,
	};
	const char *hint = NULL;
	struct lab lab;

	(void)state;
	start(&lab, &sink_pcapng_ops, true, "none/x.pcapng");
	assert_int_equal(outputs_add_interface(lab.o, &iface, &hint, &lab.err),
	    E_OUTPUT);
	assert_non_null(strstr(lab.err.what, "none/x.EN10MB.pcapng"));
	assert_false(outputs_holds(lab.o, 0));
	stop(&lab);
	finish(&lab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pcapng_takes_every_link_type_and_says_so_once),
		cmocka_unit_test(a_pcap_merges_interfaces_of_one_type_and_counts_others),
		cmocka_unit_test(mixed_types_in_a_pcap_are_refused_before_a_file_is_made),
		cmocka_unit_test(split_files_are_complete_each),
		cmocka_unit_test(the_link_type_stands_before_a_suffix_if_there_is_one),
		cmocka_unit_test(more_link_types_than_files_are_counted_only),
		cmocka_unit_test(notes_and_gaps_stand_beside_the_next_packet_of_each_file),
		cmocka_unit_test(a_single_interface_has_all_the_losses),
		cmocka_unit_test(words_never_shorten_a_packet),
		cmocka_unit_test(a_mark_is_reached_when_everything_before_it_is_written),
		cmocka_unit_test(each_interface_tells_of_its_own_losses_once),
		cmocka_unit_test(a_hole_is_told_whatever_else_there_is),
		cmocka_unit_test(a_resumed_file_reads_as_if_nothing_had_been),
		cmocka_unit_test(another_format_is_not_resumed),
		cmocka_unit_test(a_record_without_a_file_does_not_stay),
		cmocka_unit_test(unwritten_packets_are_known_by_interface),
		cmocka_unit_test(a_file_that_cannot_be_made_is_an_error),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("client/outputs", tests, NULL, NULL);
}
