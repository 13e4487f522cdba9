#include "client/resume_slot.h"

#include <string.h>

#include <openssl/evp.h>

#include "common/bytes.h"

/* Where each field stands; the digest covers everything behind itself. */
enum {
	DIGEST_LEN = 32,
	AT_GENERATION = DIGEST_LEN,
	AT_OFFSET = AT_GENERATION + 8,
	AT_DEV = AT_OFFSET + 8,
	AT_INO = AT_DEV + 8,
	AT_TAIL_LEN = AT_INO + 8,
	AT_PAYLOAD_LEN = AT_TAIL_LEN + 4,
	AT_TAIL = AT_PAYLOAD_LEN + 4,
};

_Static_assert(AT_TAIL + RESUME_SLOT_TAIL_MAX == RESUME_SLOT_HEAD, "fields fill the head");

static int
digest(const uint8_t *bytes, size_t len, uint8_t dst[static DIGEST_LEN])
{
	return EVP_Digest(bytes + DIGEST_LEN, len - DIGEST_LEN, dst, NULL, EVP_sha256(),
	    NULL) == 1 ? E_OK : E_NOMEM;
}

int
resume_slot_pack(const struct resume_slot *slot, uint8_t *dst)
{
	if (slot->payload_len > RESUME_SLOT_PAYLOAD_MAX ||
	    slot->tail_len > RESUME_SLOT_TAIL_MAX)
		return E_TOOBIG;
	put_le64(dst + AT_GENERATION, slot->generation);
	put_le64(dst + AT_OFFSET, slot->offset);
	put_le64(dst + AT_DEV, slot->dev);
	put_le64(dst + AT_INO, slot->ino);
	put_le32(dst + AT_TAIL_LEN, slot->tail_len);
	put_le32(dst + AT_PAYLOAD_LEN, slot->payload_len);
	memset(dst + AT_TAIL, 0, RESUME_SLOT_TAIL_MAX);
	memcpy(dst + AT_TAIL, slot->tail, slot->tail_len);
	if (slot->payload_len > 0)
		memcpy(dst + RESUME_SLOT_HEAD, slot->payload, slot->payload_len);
	return digest(dst, RESUME_SLOT_HEAD + (size_t)slot->payload_len, dst);
}

int
resume_slot_parse(const uint8_t *bytes, size_t len, struct resume_slot *ret_slot)
{
	uint8_t want[DIGEST_LEN];
	struct resume_slot slot;
	int rc;

	if (len < RESUME_SLOT_HEAD)
		return E_BADMSG;
	slot = (struct resume_slot){
		.generation = get_le64(bytes + AT_GENERATION),
		.offset = get_le64(bytes + AT_OFFSET),
		.dev = get_le64(bytes + AT_DEV),
		.ino = get_le64(bytes + AT_INO),
		.tail_len = get_le32(bytes + AT_TAIL_LEN),
		.payload_len = get_le32(bytes + AT_PAYLOAD_LEN),
		.payload = bytes + RESUME_SLOT_HEAD,
	};
	if (slot.payload_len > RESUME_SLOT_PAYLOAD_MAX ||
	    slot.payload_len > len - RESUME_SLOT_HEAD ||
	    slot.tail_len > RESUME_SLOT_TAIL_MAX || slot.tail_len > slot.offset ||
	    slot.generation == UINT64_MAX || slot.offset > INT64_MAX)
		return E_BADMSG;
	rc = digest(bytes, RESUME_SLOT_HEAD + (size_t)slot.payload_len, want);
	if (rc != E_OK)
		return rc;
	if (memcmp(want, bytes, DIGEST_LEN) != 0)
		return E_BADMSG;
	memcpy(slot.tail, bytes + AT_TAIL, slot.tail_len);
	*ret_slot = slot;
	return E_OK;
}
