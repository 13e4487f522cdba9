#include "client/resume_record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/resume_file.h"

enum {
	SLOTS_AT = 4096,
	SLOT_STRIDE = (RESUME_SLOT_MAX + 4095) & ~4095,
	N_SLOTS = 2,
};

struct resume_record {
	struct resume_file file;
	int		 next;		/* the slot to be written next */
	struct resume_slot newest;	/* its payload is in bytes */
	uint8_t		*bytes;		/* of newest, NULL when there is none */
};

void
resume_record_close(struct resume_record *record)
{
	if (record == NULL)
		return;
	resume_file_fini(&record->file);
	free(record->bytes);
	free(record);
}

static struct resume_record *
record_new(const char *output_path)
{
	struct resume_record *record = calloc(1, sizeof(*record));

	if (record != NULL && resume_file_init(&record->file, output_path) == E_OK)
		return record;
	free(record);
	return NULL;
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
		    resume_file_read(record->file.fd, bytes, RESUME_SLOT_MAX, slot_at(i))) != E_OK)
			return err_set(err, E_NOMEM, "'%s': read: out of memory",
			    record->file.path);
	}
	return E_OK;
}

/* --- opening --- */

int
resume_record_open(const char *output_path, enum resume_record_mode mode,
    struct resume_record **ret_record, struct err *err)
{
	struct resume_record *record = record_new(output_path);
	bool is_new = mode == RESUME_RECORD_NEW;
	int rc;

	if (record == NULL)
		return err_set(err, E_NOMEM, "'%s': resume: out of memory", output_path);
	rc = resume_file_open(&record->file, is_new ? RESUME_FILE_CREATE :
	    RESUME_FILE_EXISTS, err);
	if (rc == E_OK)
		rc = is_new ? resume_file_start_over(&record->file, err) : load(record, err);
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
	if (record != NULL)
		resume_file_remove(&record->file);
	resume_record_close(record);
}

/* --- reading --- */

static int
no_slot(const struct resume_record *record, struct err *err)
{
	return err_set(err, E_GONE, "'%s': resume: its record '%s' says nothing",
	    record->file.output, record->file.path);
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

bool
resume_record_is_fresh(const struct resume_record *record)
{
	return resume_file_is_fresh(&record->file);
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
		return resume_file_fail(err, record->file.output, "resume");
	if (!S_ISREG(st.st_mode) || st.st_dev != s->dev || st.st_ino != s->ino)
		return err_set(err, E_OUTPUT, "'%s': resume: it is another file than its "
		    "record '%s' is about", record->file.output, record->file.path);
	if ((uint64_t)st.st_size < s->offset)
		return err_set(err, E_OUTPUT, "'%s': resume: it is shorter than its record "
		    "'%s' says", record->file.output, record->file.path);
	if (resume_file_read(output_fd, tail, s->tail_len, (off_t)(s->offset - s->tail_len)) !=
	    s->tail_len || memcmp(tail, s->tail, s->tail_len) != 0)
		return err_set(err, E_OUTPUT, "'%s': resume: its content is not what its "
		    "record '%s' is about", record->file.output, record->file.path);
	return E_OK;
}

/* --- writing --- */

/* What is said about the output besides how far it is complete. */
static int
describe_output(const struct resume_record *record, int output_fd, struct resume_slot *s,
    struct err *err)
{
	uint64_t want = s->offset < RESUME_SLOT_TAIL_MAX ? s->offset : RESUME_SLOT_TAIL_MAX;
	struct stat st;

	if (fstat(output_fd, &st) != 0)
		return resume_file_fail(err, record->file.output, "write");
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->tail_len = (uint32_t)want;
	/* One that may be written only goes without. */
	if (resume_file_read(output_fd, s->tail, want, (off_t)(s->offset - want)) != want)
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
		rc = err_set(err, rc, "'%s': write: %s", record->file.path, err_text(rc));
	else
		rc = resume_file_write(&record->file, bytes, len, slot_at(record->next), err);
	if (rc == E_OK && syncs && fdatasync(record->file.fd) != 0)
		rc = resume_file_fail(err, record->file.path, "sync");
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
		    record->file.path);
	rc = resume_file_keep(&record->file, err);
	if (rc == E_OK)
		rc = describe_output(record, output_fd, &s, err);
	return rc == E_OK ? write_slot(record, &s, syncs, err) : rc;
}

int
resume_record_renew(struct resume_record *record, int output_fd, bool syncs,
    struct err *err)
{
	if (record->bytes == NULL)
		return resume_file_keep(&record->file, err);
	return resume_record_write(record, output_fd, record->newest.offset,
	    record->newest.payload, record->newest.payload_len, syncs, err);
}
