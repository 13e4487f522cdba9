/*
 * output - for tests of writers: a temporary file behind an outfile, its
 * bytes, and what other programs read in it.
 */
#ifndef TESTS_UNIT_OUTPUT_H
#define TESTS_UNIT_OUTPUT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/outfile.h"
#include "common/loop.h"

struct output {
	struct loop	*loop;
	struct outfile	*out;
	char		 path[32];
	uint8_t		*bytes;		/* after output_finish() */
	size_t		 len;
};

static inline void
output_ignore(struct outfile *out, enum outfile_event event, void *arg)
{
	(void)out;
	(void)event;
	(void)arg;
}

static inline void
output_open(struct output *o)
{
	struct err err;
	int fd;

	memset(o, 0, sizeof(*o));
	strcpy(o->path, "/tmp/capclient-test-XXXXXX");
	fd = mkstemp(o->path);
	assert_true(fd >= 0);
	close(fd);
	o->loop = loop_new(&err);
	assert_non_null(o->loop);
	o->out = outfile_open(&(struct outfile_config){ .loop = o->loop, .path = o->path,
	    .fn = output_ignore, .on_full = OUTFILE_STOP }, &err);
	assert_non_null(o->out);
}

/* Close the outfile and load what it wrote. */
static inline void
output_finish(struct output *o)
{
	struct err err;
	FILE *file;
	long size;

	assert_int_equal(outfile_close(o->out, -1, &err), E_OK);
	loop_free(o->loop);
	file = fopen(o->path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	o->len = (size_t)size;
	o->bytes = malloc(o->len + 1);
	assert_non_null(o->bytes);
	assert_int_equal(fread(o->bytes, 1, o->len, file), o->len);
	fclose(file);
}

static inline void
output_remove(struct output *o)
{
	unlink(o->path);
	free(o->bytes);
}

static inline void
assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
	char *got = calloc(1, 2 * len + 1);

	assert_non_null(got);
	for (size_t i = 0; i < len; i++)
		sprintf(got + 2 * i, "%02x", bytes[i]);
	assert_string_equal(got, hex);
	free(got);
}

/*
 * What "PROGRAM -r FILE ARGUMENTS" prints; it must end with status 0.
 * Skips the test when the program is not installed, unless the run demands
 * that nothing is skipped.
 */
static inline void
output_read_with(const struct output *o, const char *program,
    const char *arguments, char *dst, size_t size)
{
	char command[512];
	const char *must = getenv("CAPTEST_MUST_RUN");
	FILE *pipe;
	size_t n;

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	if (system(command) != 0) {
		assert_true(must == NULL || strcmp(must, "1") != 0);
		skip();
	}
	snprintf(command, sizeof(command), "%s -r %s %s 2>/dev/null", program,
	    o->path, arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(dst, 1, size - 1, pipe);
	dst[n] = '\0';
	assert_int_equal(pclose(pipe), 0);
}

#endif /* TESTS_UNIT_OUTPUT_H */
