#include "client/resume_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/compiler.h"

enum {
	MAGIC_LEN = 16,
	SLOTS_AT = 4096,
	SLOT_STRIDE = (RESUME_SLOT_MAX + 4095) & ~4095,
	N_SLOTS = 2,
	OPEN_TRIES = 16,
};

static const uint8_t magic[MAGIC_LEN] = "capclient-rsm 1";

struct resume_record {
	char		*path, *output;
	int		 fd;
	bool		 has_magic;	/* the file begins as it must */
	int		 next;		/* the slot to be written next */
	struct resume_slot newest;	/* its payload is in bytes */
	uint8_t		*bytes;		/* of newest, NULL when there is none */
};

/* "'PATH': ACTION: cause" from errno. */
static int
fail(struct err *err, const char *path, const char *action)
{
	int code = err_sys(err, "'%s': %s", path, action);

	if (code != E_SYS)
		return code;
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}

void
resume_record_close(struct resume_record *record)
{
	if (record == NULL)
		return;
	if (record->fd >= 0)
		close(record->fd);
	free(record->bytes);
	free(record->path);
	free(record->output);
	free(record);
}

static struct resume_record *
record_new(const char *output_path)
{
	struct resume_record *record = calloc(1, sizeof(*record));

	if (record == NULL)
		return NULL;
	record->fd = -1;
	record->output = strdup(output_path);
	if (record->output == NULL || asprintf(&record->path, "%s.resume", output_path) < 0) {
		record->path = NULL;
		resume_record_close(record);
		return NULL;
	}
	return record;
}

/* --- the file --- */

/* Is fd what path names? */
static bool
is_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static int
check_owner(const struct resume_record *record, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail(err, record->path, "open");
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return err_set(err, E_OUTPUT, "'%s': open: no resume record, but another "
		    "kind of file", record->path);
	if (st.st_uid != geteuid())
		return err_set(err, E_OUTPUT, "'%s': open: it belongs to another user",
		    record->path);
	return E_OK;
}

/* E_AGAIN: it was removed before it was locked. */
static int
lock(const struct resume_record *record, int fd, struct err *err)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? err_set(err, E_STATE, "'%s': resume: another "
		    "capclient writes it (its record '%s' is locked)", record->output,
		    record->path) : fail(err, record->path, "lock");
	return is_at(fd, record->path) ? E_OK : E_AGAIN;
}

/* Open, without believing that it is a record, and lock. */
static int
open_locked(const struct resume_record *record, int flags, int *ret_fd, struct err *err)
{
	/* O_NONBLOCK: a named pipe at the place does not hold us up. */
	int fd = open(record->path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY |
	    O_NONBLOCK, 0600);
	int rc;

	if (fd < 0)
		return errno == ENOENT && (flags & O_CREAT) == 0 ? err_set(err, E_GONE,
		    "'%s': resume: there is no record '%s'", record->output,
		    record->path) : fail(err, record->path, "open");
	rc = check_owner(record, fd, err);
	if (rc == E_OK)
		rc = lock(record, fd, err);
	if (rc != E_OK) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return E_OK;
}

static int
write_at(const struct resume_record *record, const uint8_t *bytes, size_t len, off_t at,
    struct err *err)
{
	while (len > 0) {
		ssize_t n = pwrite(record->fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(err, record->path, "write");
		bytes += n;
		len -= (size_t)n;
		at += n;
	}
	return E_OK;
}

/* How many bytes there are, at most len. */
static size_t
read_at(int fd, uint8_t *dst, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, dst + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Empty, or a record of ours; what it says is another question. */
static int
check_magic(struct resume_record *record, struct err *err)
{
	uint8_t head[MAGIC_LEN];
	size_t n = read_at(record->fd, head, sizeof(head), 0);

	/* A client that was killed at once left less than all of it. */
	record->has_magic = n == MAGIC_LEN && memcmp(head, magic, MAGIC_LEN) == 0;
	if (record->has_magic || n == 0)
		return fchmod(record->fd, 0600) == 0 ? E_OK :
		    fail(err, record->path, "change the mode");
	return err_set(err, E_OUTPUT, "'%s': open: it is no resume record: left as it is",
	    record->path);
}

static int
start_over(struct resume_record *record, struct err *err)
{
	int rc;

	record->has_magic = false;
	if (ftruncate(record->fd, 0) != 0)
		return fail(err, record->path, "truncate");
	rc = write_at(record, magic, sizeof(magic), 0, err);
	record->has_magic = rc == E_OK;
	return rc;
}

/* --- slots --- */

static off_t
slot_at(int slot)
{
	return SLOTS_AT + (off_t)slot * SLOT_STRIDE;
}

/* Make a slot the newest one if it is; takes bytes. */
static int
consider(struct resume_record *record, int slot, uint8_t *bytes, size_t len)
{
	struct resume_slot found;
	int rc = resume_slot_parse(bytes, len, &found);

	if (rc != E_OK || (record->bytes != NULL &&
	    found.generation <= record->newest.generation)) {
		free(bytes);
		return rc == E_NOMEM ? rc : E_OK;
	}
	free(record->bytes);
	record->bytes = bytes;
	record->newest = found;
	record->next = (slot + 1) % N_SLOTS;
	return E_OK;
}

static int
load(struct resume_record *record, struct err *err)
{
	for (int i = 0; i < N_SLOTS; i++) {
		uint8_t *bytes = malloc(RESUME_SLOT_MAX);

		if (bytes == NULL || consider(record, i, bytes,
		    read_at(record->fd, bytes, RESUME_SLOT_MAX, slot_at(i))) != E_OK)
			return err_set(err, E_NOMEM, "'%s': read: out of memory",
			    record->path);
	}
	return E_OK;
}

/* --- opening --- */

int
resume_record_open(const char *output_path, enum resume_record_mode mode,
    struct resume_record **ret_record, struct err *err)
{
	struct resume_record *record = record_new(output_path);
	int rc = E_AGAIN;

	if (record == NULL)
		return err_set(err, E_NOMEM, "'%s': resume: out of memory", output_path);
	for (int i = 0; i < OPEN_TRIES && rc == E_AGAIN; i++)
		rc = open_locked(record, mode == RESUME_RECORD_NEW ? O_CREAT : 0,
		    &record->fd, err);
	if (rc == E_AGAIN)
		rc = err_set(err, E_OUTPUT, "'%s': open: it is replaced all the time",
		    record->path);
	if (rc == E_OK)
		rc = check_magic(record, err);
	if (rc == E_OK)
		rc = mode == RESUME_RECORD_NEW ? start_over(record, err) : load(record, err);
	if (rc != E_OK) {
		resume_record_close(record);
		return rc;
	}
	*ret_record = record;
	return E_OK;
}

void
resume_record_remove(struct resume_record *record)
{
	/* While the lock is held: nobody else's file can be in its place. */
	if (record != NULL && is_at(record->fd, record->path))
		(void)unlink(record->path);
	resume_record_close(record);
}

/* --- reading --- */

static int
no_slot(const struct resume_record *record, struct err *err)
{
	return err_set(err, E_GONE, "'%s': resume: its record '%s' says nothing",
	    record->output, record->path);
}

int
resume_record_read(const struct resume_record *record,
    struct resume_record_state *ret_state, struct err *err)
{
	if (record->bytes == NULL)
		return no_slot(record, err);
	*ret_state = (struct resume_record_state){
		.offset = record->newest.offset,
		.payload = record->newest.payload,
		.len = record->newest.payload_len,
	};
	return E_OK;
}

int
resume_record_check_output(const struct resume_record *record, int output_fd,
    struct err *err)
{
	const struct resume_slot *s = &record->newest;
	uint8_t tail[RESUME_SLOT_TAIL_MAX];
	struct stat st;

	if (record->bytes == NULL)
		return no_slot(record, err);
	if (fstat(output_fd, &st) != 0)
		return fail(err, record->output, "resume");
	if (!S_ISREG(st.st_mode) || st.st_dev != s->dev || st.st_ino != s->ino)
		return err_set(err, E_OUTPUT, "'%s': resume: it is another file than its "
		    "record '%s' is about", record->output, record->path);
	if ((uint64_t)st.st_size < s->offset)
		return err_set(err, E_OUTPUT, "'%s': resume: it is shorter than its record "
		    "'%s' says", record->output, record->path);
	if (read_at(output_fd, tail, s->tail_len, (off_t)(s->offset - s->tail_len)) !=
	    s->tail_len || memcmp(tail, s->tail, s->tail_len) != 0)
		return err_set(err, E_OUTPUT, "'%s': resume: its content is not what its "
		    "record '%s' is about", record->output, record->path);
	return E_OK;
}

/* --- writing --- */

/* Somebody may have removed the file, or its directory: make another then. */
static int
keep_at_path(struct resume_record *record, struct err *err)
{
	int fd, rc;
	struct stat st;

	if (fstat(record->fd, &st) != 0)
		return fail(err, record->path, "write");
	if (st.st_nlink > 0)
		return record->has_magic ? E_OK : start_over(record, err);
	rc = open_locked(record, O_CREAT | O_EXCL, &fd, err);
	if (rc != E_OK)
		return rc == E_AGAIN ? err_set(err, E_OUTPUT, "'%s': open: it was removed "
		    "again", record->path) : rc;
	close(record->fd);
	record->fd = fd;
	return start_over(record, err);
}

/* What is said about the output besides how far it is complete. */
static int
describe_output(const struct resume_record *record, int output_fd, struct resume_slot *s,
    struct err *err)
{
	uint64_t want = s->offset < RESUME_SLOT_TAIL_MAX ? s->offset : RESUME_SLOT_TAIL_MAX;
	struct stat st;

	if (fstat(output_fd, &st) != 0)
		return fail(err, record->output, "write");
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->tail_len = (uint32_t)want;
	/* One that may be written only goes without. */
	if (read_at(output_fd, s->tail, want, (off_t)(s->offset - want)) != want)
		s->tail_len = 0;
	return E_OK;
}

/* Pack s, write it and make it the newest one. */
static int
write_slot(struct resume_record *record, struct resume_slot *s, bool syncs, struct err *err)
{
	size_t len = RESUME_SLOT_HEAD + (size_t)s->payload_len;
	uint8_t *bytes = malloc(len);
	int rc = bytes == NULL ? E_NOMEM : resume_slot_pack(s, bytes);

	if (rc != E_OK)
		rc = err_set(err, rc, "'%s': write: %s", record->path, err_text(rc));
	else
		rc = write_at(record, bytes, len, slot_at(record->next), err);
	if (rc == E_OK && syncs && fdatasync(record->fd) != 0)
		rc = fail(err, record->path, "sync");
	if (rc != E_OK) {
		free(bytes);
		return rc;
	}
	free(record->bytes);
	record->bytes = bytes;
	record->newest = *s;
	record->newest.payload = bytes + RESUME_SLOT_HEAD;
	record->next = (record->next + 1) % N_SLOTS;
	return E_OK;
}

int
resume_record_write(struct resume_record *record, int output_fd, uint64_t offset,
    const uint8_t *payload, size_t len, bool syncs, struct err *err)
{
	struct resume_slot s = {
		.generation = record->bytes != NULL ? record->newest.generation + 1 : 1,
		.offset = offset,
		.payload_len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len,
		.payload = payload,
	};
	int rc;

	if (len > RESUME_SLOT_PAYLOAD_MAX)
		return err_set(err, E_TOOBIG, "'%s': write: too much for a record",
		    record->path);
	rc = keep_at_path(record, err);
	if (rc == E_OK)
		rc = describe_output(record, output_fd, &s, err);
	return rc == E_OK ? write_slot(record, &s, syncs, err) : rc;
}

int
resume_record_renew(struct resume_record *record, int output_fd, bool syncs,
    struct err *err)
{
	if (record->bytes == NULL)
		return keep_at_path(record, err);
	return resume_record_write(record, output_fd, record->newest.offset,
	    record->newest.payload, record->newest.payload_len, syncs, err);
}
