#include "outfile_lab.h"

static void
on_event(struct outfile *out, enum outfile_event event, void *arg)
{
	struct outfile_lab *lab = arg;

	lab->n_events[event]++;
	if (event == OUTFILE_EV_STALLED) {
		assert_true(outfile_is_stalled(out));
		lab->stall = *outfile_error(out);
	}
	if (event == OUTFILE_EV_RECOVERED)
		assert_int_equal(outfile_error(out)->code, E_OK);
	if (event == lab->wanted)
		loop_stop(lab->cfg.loop);
}

void
outfile_lab_start(struct outfile_lab *lab)
{
	memset(lab, 0, sizeof(*lab));
	strcpy(lab->dir, "/tmp/capclient-test-XXXXXX");
	assert_non_null(mkdtemp(lab->dir));
	snprintf(lab->path, sizeof(lab->path), "%s/d/x.cap", lab->dir);
	outfile_lab_sh(lab, "mkdir d");
	lab->cfg = (struct outfile_config){
		.loop = loop_new(&lab->err), .path = lab->path, .fn = on_event, .arg = lab,
		.magic = (const uint8_t *)"\0\1\2\3",
	};
	assert_non_null(lab->cfg.loop);
}

void
outfile_lab_open(struct outfile_lab *lab)
{
	lab->out = outfile_open(&lab->cfg, &lab->err);
	lab->cfg.record = NULL;
	assert_non_null(lab->out);
}

void
outfile_lab_record(struct outfile_lab *lab, enum resume_record_mode mode)
{
	struct resume_record_state state;

	assert_int_equal(resume_record_open(lab->path, mode, &lab->cfg.record, &lab->err),
	    E_OK);
	lab->cfg.is_resumed = mode == RESUME_RECORD_OLD;
	if (mode == RESUME_RECORD_NEW)
		return;
	assert_int_equal(resume_record_read(lab->cfg.record, &state, &lab->err), E_OK);
	lab->cfg.resume_at = state.offset;
	lab->n_blocks = state.offset / OUTFILE_LAB_BLOCK;
}

static void
fill(uint8_t *p, uint64_t block)
{
	for (size_t i = 0; i < OUTFILE_LAB_BLOCK; i++)
		p[i] = (uint8_t)(i + block * 131 + (block >> 8));
}

void
outfile_lab_put(struct outfile_lab *lab, unsigned n)
{
	while (n-- > 0) {
		uint8_t *p = outfile_reserve(lab->out, OUTFILE_LAB_BLOCK);

		assert_non_null(p);
		fill(p, lab->n_blocks++);
	}
	outfile_flush(lab->out);
}

static void
run(struct outfile_lab *lab, enum outfile_event event)
{
	lab->wanted = event;
	assert_int_equal(loop_run(lab->cfg.loop, &lab->err), E_OK);
}

void
outfile_lab_await(struct outfile_lab *lab, enum outfile_event event)
{
	unsigned n = lab->n_events[event];

	while (lab->n_events[event] == n)
		run(lab, event);
}

void
outfile_lab_await_marks(struct outfile_lab *lab, uint64_t n)
{
	while (outfile_marks_done(lab->out) < n)
		run(lab, OUTFILE_EV_WRITTEN);
}

void
outfile_lab_await_written(struct outfile_lab *lab)
{
	while (outfile_written(lab->out) < outfile_submitted(lab->out))
		run(lab, OUTFILE_EV_WRITTEN);
}

void
outfile_lab_sh(struct outfile_lab *lab, const char *command)
{
	snprintf(lab->command_line, sizeof(lab->command_line), "cd %s && %s", lab->dir,
	    command);
	assert_int_equal(system(lab->command_line), 0);
}

void
outfile_lab_assert_holds(struct outfile_lab *lab, const char *name, uint64_t n)
{
	uint8_t want[OUTFILE_LAB_BLOCK], got[OUTFILE_LAB_BLOCK];
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", lab->dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	for (uint64_t i = 0; i < n; i++) {
		assert_int_equal(fread(got, 1, sizeof(got), f), sizeof(got));
		fill(want, i);
		assert_memory_equal(got, want, sizeof(got));
	}
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

void
outfile_lab_finish(struct outfile_lab *lab)
{
	loop_free(lab->cfg.loop);
	outfile_lab_sh(lab, "rm -r $PWD");
}

void
outfile_lab_limit(rlim_t bytes)
{
	const struct rlimit limit = { bytes > 0 ? bytes : RLIM_INFINITY, RLIM_INFINITY };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
