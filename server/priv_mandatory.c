#include "server/priv_mandatory.h"

#include <stdlib.h>
#include <string.h>

#include "common/link_type.h"

void
priv_mandatory_init(struct priv_mandatory *mandatory)
{
	const uint32_t *types;
	size_t n;

	mandatory->refs = 1;
	types = link_type_all(&n);
	for (size_t i = 0; i < ARRAY_LEN(mandatory->parts); i++) {
		mandatory->parts[i].link_type = i < n ? types[i] : 0;
		mandatory->parts[i].is_usable = true;
		mandatory->parts[i].why_not[0] = '\0';
		mandatory->parts[i].prog.n = 0;
	}
}

struct priv_mandatory *
priv_mandatory_new(void)
{
	struct priv_mandatory *mandatory = calloc(1, sizeof(*mandatory));

	if (mandatory != NULL)
		priv_mandatory_init(mandatory);
	return mandatory;
}

struct priv_mandatory *
priv_mandatory_ref(struct priv_mandatory *mandatory)
{
	if (mandatory != NULL)
		mandatory->refs++;
	return mandatory;
}

void
priv_mandatory_unref(struct priv_mandatory *mandatory)
{
	if (mandatory != NULL && --mandatory->refs == 0)
		free(mandatory);
}

void
priv_mandatory_copy(struct priv_mandatory *dst, const struct priv_mandatory *src)
{
	memcpy(dst->parts, src->parts, sizeof(dst->parts));
}

static bool
is_same_part(const struct priv_mandatory_part *a, const struct priv_mandatory_part *b)
{
	return a->link_type == b->link_type && a->is_usable == b->is_usable &&
	    a->prog.n == b->prog.n &&
	    memcmp(a->prog.insns, b->prog.insns, a->prog.n * sizeof(a->prog.insns[0])) == 0;
}

bool
priv_mandatory_equal(const struct priv_mandatory *a, const struct priv_mandatory *b)
{
	for (size_t i = 0; i < ARRAY_LEN(a->parts); i++)
		if (!is_same_part(&a->parts[i], &b->parts[i]))
			return false;
	return true;
}

const struct priv_mandatory_part *
priv_mandatory_get(const struct priv_mandatory *mandatory, uint32_t link_type)
{
	for (size_t i = 0; i < ARRAY_LEN(mandatory->parts); i++)
		if (mandatory->parts[i].link_type == link_type)
			return &mandatory->parts[i];
	return NULL;
}

const struct priv_mandatory_part *
priv_mandatory_for(const struct priv_mandatory *mandatory, uint32_t link_type,
    uint32_t default_type)
{
	bool is_raw = link_type_made_header(link_type) == 0;

	return priv_mandatory_get(mandatory, is_raw ? default_type : link_type);
}
