/*
 * capfilter - the packets of a capture file that match an expression.
 *
 * Unprivileged, no network.  Also says whether one packet matches, and prints
 * what an expression compiles to.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/capfile_judge.h"
#include "client/capfile_read.h"
#include "client/capfile_write.h"
#include "client/capfilter_options.h"
#include "common/link_type.h"
#include "common/log.h"

/* Documented in capfilter(1): a number is never given another meaning. */
enum status {
	STATUS_DONE = 0,	/* with --match: it matches */
	STATUS_NO_MATCH = 1,
	STATUS_USAGE = 2,
	STATUS_INPUT = 3,	/* cannot be read, is no capture file, is damaged */
	STATUS_FILTER = 6,	/* no filter, or not for this file */
	STATUS_OUTPUT = 7,
	STATUS_FAILED = 8,	/* out of memory */
};

struct run {
	const struct capfilter_options *options;
	int		 input;
	const char	*name;		/* of the input */
	bool		 is_live;	/* more may come later: a pipe */
	bool		 has_link_type;
	uint32_t	 link_type;	/* the first that the file declared */
	uint64_t	 n_packets, n_matched;
	struct capfile_reader *reader;
	struct capfile_writer *writer;
	struct capfile_judge *judge;
};

static enum status
status_of(int code)
{
	switch (code) {
	case E_OK:
		return STATUS_DONE;
	case E_USAGE:
		return STATUS_USAGE;
	case E_FILTER:
	case E_TOOBIG:
		return STATUS_FILTER;
	case E_OUTPUT:
	case E_NOSPACE:
		return STATUS_OUTPUT;
	case E_SYS:
	case E_BADMSG:
		return STATUS_INPUT;
	default:
		return STATUS_FAILED;
	}
}

static enum status
complain(const struct err *err)
{
	char text[4 * ERR_WHAT_LEN];	/* every byte as \xHH */

	log_escape(text, sizeof(text), err->what);
	fprintf(stderr, "capfilter: %s\n", text);
	return status_of(err->code);
}

/* --- files --- */

static void
pass_over(int signal_number)
{
	(void)signal_number;
}

/*
 * The first Ctrl-C reaches the program that writes the pipe, too: what it then
 * still sends is not lost.
 */
static void
leave_first_interrupt_to_writer(void)
{
	const struct sigaction action = { .sa_handler = pass_over,
	    .sa_flags = (int)SA_RESETHAND | SA_RESTART };

	sigaction(SIGINT, &action, NULL);
}

static int
open_input(struct run *run, struct err *err)
{
	struct stat st;

	run->input = STDIN_FILENO;
	run->name = "stdin";
	if (run->options->input != NULL) {
		run->name = run->options->input;
		run->input = open(run->name, O_RDONLY | O_CLOEXEC);
	}
	if (run->input < 0 || fstat(run->input, &st) != 0)
		return err_sys(err, "'%.150s': open", run->name);
	run->is_live = !S_ISREG(st.st_mode);
	if (run->is_live)
		leave_first_interrupt_to_writer();
	run->reader = capfile_reader_new();
	run->writer = capfile_writer_new(run->options->output, run->input);
	run->judge = capfile_judge_new(run->options->filter);
	if (run->reader == NULL || run->writer == NULL || run->judge == NULL)
		return err_set(err, E_NOMEM, "buffers: out of memory");
	return E_OK;
}

static void
close_input(struct run *run)
{
	capfile_reader_free(run->reader);
	capfile_writer_free(run->writer);
	capfile_judge_free(run->judge);
	if (run->options->input != NULL && run->input >= 0)
		close(run->input);
}

/* A pcap has one link type: what is no filter for it is said before all else. */
static int
declare(struct run *run, uint32_t link_type, struct err *err)
{
	const struct filter_code *code;

	if (!run->has_link_type) {
		run->has_link_type = true;
		run->link_type = link_type;
	}
	if (capfile_reader_tells_types(run->reader))
		return E_OK;
	return capfile_judge_prepare(run->judge, link_type, false, &code, err);
}

/* One record: out, unless it is a packet that does not match. */
static int
pass(struct run *run, const struct capfile_record *record, struct err *err)
{
	bool is_match = true;
	int code = E_OK;

	if (record->is_packet) {
		code = capfile_judge_packet(run->judge, record,
		    capfile_reader_tells_types(run->reader), &is_match, err);
		run->n_packets += code == E_OK;
		run->n_matched += code == E_OK && is_match;
	} else if (record->has_link_type) {
		code = declare(run, record->link_type, err);
	}
	if (code != E_OK)
		return err_wrap(err, "'%.100s'", run->name);
	return is_match ? capfile_writer_put(run->writer, record->bytes, record->len, err) : E_OK;
}

/* Read more; *ret_is_end: there is none. */
static int
refill(struct run *run, bool *ret_is_end, struct err *err)
{
	size_t room;
	uint8_t *p = capfile_reader_space(run->reader, &room);
	ssize_t n;

	if (p == NULL)
		return err_set(err, E_NOMEM, "'%.150s': buffer: out of memory", run->name);
	do
		n = read(run->input, p, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "'%.150s': read", run->name);
	capfile_reader_commit(run->reader, (size_t)n);
	*ret_is_end = n == 0;
	return E_OK;
}

/* All records that are there; E_AGAIN behind the last. */
static int
pass_all(struct run *run, struct err *err)
{
	struct capfile_record record;
	int code;

	while ((code = capfile_reader_next(run->reader, &record, err)) == E_OK) {
		code = pass(run, &record, err);
		if (code != E_OK)
			return code;
	}
	return code == E_AGAIN ? E_AGAIN : err_wrap(err, "'%.100s'", run->name);
}

/*
 * Who reads our pipe need not wait for what comes next.  A file is left alone
 * until a packet has shown that the expression is one.
 */
static bool
is_flush_due(const struct run *run)
{
	return run->is_live && (run->options->output == NULL || run->n_packets > 0);
}

/* Everything, up to the end of the input or what is wrong. */
static int
copy(struct run *run, struct err *err)
{
	bool is_end = false;
	int code = E_OK;

	while (code == E_OK && !is_end) {
		code = refill(run, &is_end, err);
		if (code == E_OK && (code = pass_all(run, err)) == E_AGAIN)
			code = E_OK;
		if (code == E_OK && is_flush_due(run))
			code = capfile_writer_flush(run->writer, err);
	}
	if (code == E_OK && capfile_reader_end(run->reader, err) != E_OK)
		code = err_wrap(err, "'%.100s'", run->name);
	return code;
}

/* A file without packets does not make a filter of what is none. */
static int
check_unused_filter(struct run *run, struct err *err)
{
	const struct filter_code *code;

	if (capfile_judge_is_prepared(run->judge))
		return E_OK;
	return capfile_judge_prepare(run->judge,
	    run->has_link_type ? run->link_type : LINK_ETHERNET, true, &code, err);
}

/*
 * What is whole is written, also in front of damage; but where the expression
 * is none, nothing is touched.  The first failure is the one that is told.
 */
static int
finish(struct run *run, int code, struct err *err)
{
	struct err later;

	if (code == E_OK)
		return capfile_writer_close(run->writer, err);
	if (code == E_BADMSG || code == E_SYS || run->n_packets > 0)
		capfile_writer_close(run->writer, &later);
	return code;
}

static enum status
filter_files(const struct capfilter_options *options)
{
	struct run run = { .options = options, .input = -1 };
	struct err err;
	int code = open_input(&run, &err);

	if (code == E_OK)
		code = copy(&run, &err);
	if (code == E_OK)
		code = check_unused_filter(&run, &err);
	if (run.writer != NULL)
		code = finish(&run, code, &err);
	if (code == E_OK && options->is_verbose)
		fprintf(stderr, "capfilter: %" PRIu64 " of %" PRIu64 " packets\n",
		    run.n_matched, run.n_packets);
	close_input(&run);
	return code == E_OK ? STATUS_DONE : complain(&err);
}

/* --- one packet, no packet --- */

static enum status
match(const struct capfilter_options *o)
{
	const struct capfile_record packet = {
		.is_packet = true, .has_link_type = true, .link_type = o->link_type,
		.data = o->packet, .captured_len = o->packet_len, .original_len = o->packet_len,
	};
	struct capfile_judge *judge = capfile_judge_new(o->filter);
	struct err err;
	bool is_match;
	int code = E_NOMEM;

	if (judge == NULL)
		err_set(&err, code, "--match: out of memory");
	else
		code = capfile_judge_packet(judge, &packet, false, &is_match, &err);
	capfile_judge_free(judge);
	if (code != E_OK)
		return complain(&err);
	puts(is_match ? "match" : "no match");
	return is_match ? STATUS_DONE : STATUS_NO_MATCH;
}

static enum status
explain(const struct capfilter_options *o)
{
	const struct bpf_insn_raw *insns;
	struct filter_code *code;
	struct err err;
	uint32_t n;

	if (filter_compile(o->filter, o->link_type, &code, &err) != E_OK)
		return complain(&err);
	insns = filter_code_insns(code, &n);
	for (uint32_t i = 0; i < n; i++) {
		char line[96];

		bpf_insn_format(&insns[i], i, line, sizeof(line));
		puts(line);
	}
	filter_code_unref(code);
	return STATUS_DONE;
}

static enum status
finish_stdout(enum status status)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return status;
	fprintf(stderr, "capfilter: 'stdout': write: %s\n", strerror(errno));
	return STATUS_OUTPUT;
}

static enum status
act(const struct capfilter_options *options)
{
	switch (options->action) {
	case CAPFILTER_HELP:
		capfilter_options_print_help(stdout);
		return STATUS_DONE;
	case CAPFILTER_VERSION:
		puts("capfilter " CAP_VERSION);
		return STATUS_DONE;
	case CAPFILTER_MATCH:
		return match(options);
	case CAPFILTER_EXPLAIN:
		return explain(options);
	case CAPFILTER_FILES:
		break;
	}
	return filter_files(options);
}

int
main(int argc, char *argv[])
{
	struct capfilter_options options;
	enum status status;
	struct err err;

	signal(SIGXFSZ, SIG_IGN);	/* a file size limit is an error of write() */
	if (capfilter_options_parse(argc, argv, isatty(STDOUT_FILENO) == 1, &options,
	    &err) != E_OK)
		return (int)complain(&err);
	status = finish_stdout(act(&options));
	capfilter_options_free(&options);
	return (int)status;
}
