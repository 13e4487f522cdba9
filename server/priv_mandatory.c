#include "server/priv_mandatory.h"

#include "common/link_type.h"

void
priv_mandatory_init(struct priv_mandatory *mandatory)
{
	const uint32_t *types;
	size_t n;

	types = link_type_all(&n);
	for (size_t i = 0; i < ARRAY_LEN(mandatory->parts); i++) {
		mandatory->parts[i].link_type = i < n ? types[i] : 0;
		mandatory->parts[i].is_usable = true;
		mandatory->parts[i].why_not[0] = '\0';
		mandatory->parts[i].prog.n = 0;
	}
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
