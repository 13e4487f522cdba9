/* Any bytes are a slot that packs to the same bytes again, or are refused. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "client/resume_slot.h"
#include "tests/fuzz/fuzz.h"

enum { DIGEST_LEN = 32 };

static void
parse(const uint8_t *bytes, size_t len)
{
	static uint8_t again[RESUME_SLOT_MAX];
	struct resume_slot slot;

	if (resume_slot_parse(bytes, len, &slot) != E_OK)
		return;
	if (slot.payload_len > len - RESUME_SLOT_HEAD || slot.tail_len > slot.offset)
		abort();
	if (resume_slot_pack(&slot, again) != E_OK ||
	    memcmp(again + RESUME_SLOT_HEAD, bytes + RESUME_SLOT_HEAD, slot.payload_len) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	parse(data, size);
	if (size < RESUME_SLOT_HEAD || size > RESUME_SLOT_MAX)
		return 0;
	/* Once more behind the checksum, which nobody guesses. */
	copy = malloc(size);
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	if (EVP_Digest(copy + DIGEST_LEN, size - DIGEST_LEN, copy, NULL, EVP_sha256(),
	    NULL) == 1)
		parse(copy, size);
	free(copy);
	return 0;
}
