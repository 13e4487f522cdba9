#include "client/sqlite/expression.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	char		*text;
	enum expression_form form;
	uint32_t	 link_type;
	struct expression *expression;
};

/* The one used last stands first. */
struct expression_cache {
	size_t		 n;
	struct entry	 entries[EXPRESSION_CACHE_SIZE];
};

int
expression_cache_new(struct expression_cache **ret)
{
	struct expression_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return E_NOMEM;
	*ret = cache;
	return E_OK;
}

static void
drop_last(struct expression_cache *cache)
{
	struct entry *last = &cache->entries[--cache->n];

	expression_unref(last->expression);
	free(last->text);
}

void
expression_cache_free(struct expression_cache *cache)
{
	if (cache == NULL)
		return;
	while (cache->n > 0)
		drop_last(cache);
	free(cache);
}

static bool
is_wanted(const struct entry *entry, const char *text, enum expression_form form,
    uint32_t link_type)
{
	return entry->form == form && entry->link_type == link_type &&
	    strcmp(entry->text, text) == 0;
}

/* Put entry first; the at ones before it move up. */
static void
put_first(struct expression_cache *cache, const struct entry *entry, size_t at)
{
	struct entry first = *entry;

	memmove(&cache->entries[1], &cache->entries[0], at * sizeof(cache->entries[0]));
	cache->entries[0] = first;
}

static int
add(struct expression_cache *cache, struct entry *entry, const char *text, struct err *err)
{
	int code = expression_new(text, entry->form, entry->link_type, &entry->expression, err);

	if (code != E_OK)
		return code;
	entry->text = strdup(text);
	if (entry->text == NULL) {
		expression_unref(entry->expression);
		return err_set(err, E_NOMEM, "out of memory");
	}
	if (cache->n == EXPRESSION_CACHE_SIZE)
		drop_last(cache);
	put_first(cache, entry, cache->n++);
	return E_OK;
}

int
expression_cache_get(struct expression_cache *cache, const char *text,
    enum expression_form form, uint32_t link_type, struct expression **ret,
    struct err *err)
{
	struct entry entry = { .form = form, .link_type = link_type };
	size_t at = 0;

	while (at < cache->n && !is_wanted(&cache->entries[at], text, form, link_type))
		at++;
	if (at < cache->n) {
		put_first(cache, &cache->entries[at], at);
	} else {
		int code = add(cache, &entry, text, err);

		if (code != E_OK)
			return code;
	}
	*ret = cache->entries[0].expression;
	return E_OK;
}
