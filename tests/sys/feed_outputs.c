/*
 * feed_outputs - the client's outputs without a sensor, for tests with disks
 * that fill up and files that vanish.
 *
 *   feed_outputs new|resume PATH wait|stop fsync|lazy
 *
 * Commands on stdin, a line each: "put N" packets more, numbered on from the
 * last mark; "mark"; "end MS" stops within so many milliseconds.  Says what
 * happens on stdout.  Packets alternate between two interfaces.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/outputs.h"
#include "client/resume_record.h"
#include "common/bytes.h"

enum { PACKET_LEN = 1000, NUMBER_AT = 42, N_INTERFACES = 2 };

struct feed {
	struct outputs_config cfg;
	struct outputs	*o;
	struct loop_io	*in;
	char		 line[256];
	size_t		 len;		/* of what was read of it */
	uint64_t	 next, wanted;	/* numbers of packets */
	bool		 is_marking, wants_mark;
	struct err	 err;
};

static void
die(const struct feed *f)
{
	printf("refused %s\n", f->err.what);
	exit(1);
}

/* --- packets --- */

static void
put_packet(struct feed *f)
{
	uint8_t data[PACKET_LEN] = { 0 };
	struct packet_ref packet = {
		.meta = { .time = { (int64_t)f->next }, .captured_len = PACKET_LEN,
		    .original_len = PACKET_LEN, .iface = (uint32_t)(f->next % N_INTERFACES) },
		.data = data,
	};

	put_be32(data + NUMBER_AT, (uint32_t)(f->next >> 32));
	put_be32(data + NUMBER_AT + 4, (uint32_t)f->next);
	if (outputs_packet(f->o, &packet, &f->err) != E_OK)
		die(f);
	f->next++;
}

static void
put_packets(struct feed *f)
{
	while (f->next < f->wanted && !outputs_is_full(f->o))
		put_packet(f);
	outputs_flush(f->o);
}

static void
mark(struct feed *f)
{
	uint8_t *payload;

	f->wants_mark = f->is_marking;
	if (f->is_marking)
		return;
	payload = malloc(8);
	if (payload == NULL)
		abort();
	put_le64(payload, f->next);
	if (outputs_mark(f->o, payload, 8) != E_OK)
		abort();
	f->is_marking = true;
}

static void
on_outputs(enum outfile_event event, const struct err *err, void *arg)
{
	struct feed *f = arg;

	switch (event) {
	case OUTFILE_EV_WRITTEN:
		if (f->is_marking && outputs_has_reached_mark(f->o)) {
			f->is_marking = false;
			printf("marked\n");
			if (f->wants_mark)
				mark(f);
		}
		put_packets(f);
		return;
	case OUTFILE_EV_STALLED:
		printf("stalled %s\n", err->what);
		return;
	case OUTFILE_EV_RECOVERED:
		printf("recovered\n");
		return;
	case OUTFILE_EV_ERROR:
		printf("error %s\n", err->what);
		return;
	case OUTFILE_EV_CLOSED:
		return;
	}
}

/* --- commands --- */

static void
end(struct feed *f, int timeout_ms)
{
	const struct sink_stats stats = { .received = f->next };
	uint64_t unwritten[N_INTERFACES];
	int rc;

	for (uint32_t i = 0; i < N_INTERFACES; i++)
		if (outputs_stats(f->o, i, &stats, "", &f->err) != E_OK)
			die(f);
	rc = outputs_stop(f->o, timeout_ms, &f->err);
	outputs_unwritten(f->o, unwritten, N_INTERFACES);
	printf("ended %s %" PRIu64 " written, %" PRIu64 " and %" PRIu64 " not\n",
	    err_name(rc), outputs_packets_written(f->o), unwritten[0], unwritten[1]);
	if (rc == E_OK)
		outputs_forget(f->o);
	loop_stop(f->cfg.loop);
}

static void
obey(struct feed *f, const char *line)
{
	if (strncmp(line, "put ", 4) == 0) {
		f->wanted += strtoull(line + 4, NULL, 10);
		put_packets(f);
	} else if (strcmp(line, "mark") == 0) {
		mark(f);
	} else if (strncmp(line, "end ", 4) == 0) {
		end(f, (int)strtol(line + 4, NULL, 10));
	}
}

static void
on_input(unsigned events, void *arg)
{
	struct feed *f = arg;
	ssize_t n = read(STDIN_FILENO, f->line + f->len, sizeof(f->line) - 1 - f->len);
	char *newline;

	(void)events;
	if (n <= 0) {
		loop_stop(f->cfg.loop);
		return;
	}
	f->len += (size_t)n;
	f->line[f->len] = '\0';
	while ((newline = strchr(f->line, '\n')) != NULL) {
		*newline = '\0';
		obey(f, f->line);
		f->len -= (size_t)(newline + 1 - f->line);
		memmove(f->line, newline + 1, f->len + 1);
	}
}

/* --- start --- */

static void
open_record(struct feed *f, bool is_resumed)
{
	struct resume_record_state s;

	if (resume_record_open(f->cfg.path, is_resumed ? RESUME_RECORD_OLD :
	    RESUME_RECORD_NEW, &f->cfg.record, &f->err) != E_OK)
		die(f);
	if (!is_resumed)
		return;
	if (resume_record_read(f->cfg.record, &s, &f->err) != E_OK || s.len != 8)
		die(f);
	f->cfg.is_resumed = true;
	f->cfg.resume_at = s.offset;
	f->next = f->wanted = get_le64(s.payload);
}

static void
open_outputs(struct feed *f)
{
	const struct sink_interface iface = {
		.name = "lo", .description = "", .os = "", .filter = "", .comment = "",
		.link_type = 1,
	};
	const char *hint;

	f->o = outputs_new(&f->cfg, &f->err);
	if (f->o == NULL)
		die(f);
	for (int i = 0; i < N_INTERFACES; i++)
		if ((f->cfg.is_resumed ? outputs_add_known_interface(f->o, &iface, &hint, &f->err) :
		    outputs_add_interface(f->o, &iface, &hint, &f->err)) != E_OK)
			die(f);
}

int
main(int argc, char **argv)
{
	struct feed f = { .next = 0 };

	if (argc != 5)
		return 2;
	signal(SIGXFSZ, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	f.cfg = (struct outputs_config){
		.loop = loop_new(&f.err), .path = argv[2], .ops = &sink_pcapng_ops,
		.program = "feed", .snaplen = 262144, .fn = on_outputs, .arg = &f,
		.on_full = strcmp(argv[3], "stop") == 0 ? OUTFILE_STOP : OUTFILE_WAIT,
		.fsync = strcmp(argv[4], "fsync") == 0,
	};
	if (f.cfg.loop == NULL)
		die(&f);
	open_record(&f, strcmp(argv[1], "resume") == 0);
	open_outputs(&f);
	f.in = loop_io_new(f.cfg.loop, STDIN_FILENO, on_input, &f);
	if (f.in == NULL || loop_io_set(f.in, LOOP_READ) != 0)
		return 1;
	printf("ready\n");
	if (loop_run(f.cfg.loop, &f.err) != E_OK)
		die(&f);
	outputs_free(f.o);
	loop_io_free(f.in);
	loop_free(f.cfg.loop);
	return 0;
}
