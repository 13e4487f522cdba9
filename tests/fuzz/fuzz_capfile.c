/*
 * Any input, in any chunks, gives records that are its bytes in their order,
 * with packets inside them that an expression can judge, or an error.
 */
#include <stdlib.h>
#include <string.h>

#include "client/capfile_judge.h"
#include "client/capfile_read.h"
#include "tests/fuzz/fuzz.h"

/* The packet must lie within its record; reads all of it. */
static void
check_packet(const struct capfile_record *record)
{
	static struct capfile_judge *judge;
	uint64_t sum = 0;
	struct err err;
	bool is_match;

	if (record->data < record->bytes || record->data > record->bytes + record->len ||
	    record->captured_len > (size_t)(record->bytes + record->len - record->data))
		abort();
	for (uint32_t i = 0; i < record->captured_len; i++)
		sum += record->data[i];
	if (judge == NULL)
		judge = capfile_judge_new("inbound or udp port 53");
	if (judge == NULL || capfile_judge_packet(judge, record, true, &is_match, &err) == E_BUG)
		abort();
	if (sum > UINT64_C(255) * record->captured_len)
		abort();
}

/* The records behind what has been taken; how many bytes those are. */
static size_t
take_all(struct capfile_reader *r, const uint8_t *at, const uint8_t *end, int *ret_code)
{
	struct capfile_record record;
	const uint8_t *start = at;

	while ((*ret_code = capfile_reader_next(r, &record, NULL)) == E_OK) {
		if (record.len == 0 || record.len > (size_t)(end - at) ||
		    memcmp(record.bytes, at, record.len) != 0)
			abort();
		if (record.is_packet)
			check_packet(&record);
		at += record.len;
	}
	return (size_t)(at - start);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capfile_reader *r = capfile_reader_new();
	size_t at = 0, taken = 0, chunk = size > 0 ? 1 + (size_t)data[size - 1] * 3 : 1;
	int code = E_AGAIN;

	if (r == NULL)
		return 0;
	while (code == E_AGAIN && at < size) {
		size_t room, n = size - at < chunk ? size - at : chunk;
		uint8_t *space = capfile_reader_space(r, &room);

		if (space == NULL)
			break;
		n = n < room ? n : room;
		memcpy(space, data + at, n);
		capfile_reader_commit(r, n);
		at += n;
		taken += take_all(r, data + taken, data + size, &code);
	}
	if (code == E_AGAIN && (capfile_reader_end(r, NULL) == E_OK) != (taken == size && size > 0))
		abort();
	capfile_reader_free(r);
	return 0;
}
