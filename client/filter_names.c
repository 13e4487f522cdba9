#include "client/filter.h"

#include <arpa/inet.h>
#include <string.h>

enum { TOKEN_LEN = 64 };	/* longer than any keyword or address */

/* Where a name is looked for, if one comes next. */
enum context {
	IS_HOST,	/* or a net: anywhere in the world */
	IS_LISTED,	/* a port or protocol: in files; goes on over "or" and the like */
	IS_WORD,	/* of libpcap's own tables: the next word only */
};

/* What libpcap's scanner takes as one, letters and digits of ASCII only. */
struct token {
	const char	*at;
	size_t		 len;
	char		 text[TOKEN_LEN];	/* cut when longer */
};

#define DIGITS		"0123456789"
#define HEX		DIGITS "abcdefABCDEF"
#define WORD_START	HEX "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ"
#define WORD_CHARS	WORD_START "-_."

static bool
is_one_of(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

static void
set_token(struct token *t, const char *at, size_t len)
{
	size_t kept = len < TOKEN_LEN ? len : TOKEN_LEN - 1;

	t->at = at;
	t->len = len;
	memcpy(t->text, at, kept);
	t->text[kept] = '\0';
}

/* --- numbers and addresses --- */

static bool
is_number(const char *word)
{
	if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X') && word[2] != '\0')
		return word[2 + strspn(word + 2, HEX)] == '\0';
	return word[0] != '\0' && word[strspn(word, DIGITS)] == '\0';
}

/* n groups of min to max hex digits with a separator, which is 0 for none, between them? */
static bool
is_groups(const char *word, const char *digits, size_t n, size_t min, size_t max, char separator)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strspn(word, digits);

		if (len < min || len > max)
			return false;
		word += len;
		if (i + 1 < n && *word++ != separator)
			return false;
	}
	return *word == '\0';
}

static bool
is_mac(const char *word)
{
	return is_groups(word, HEX, 6, 1, 2, ':') || is_groups(word, HEX, 6, 1, 2, '-') ||
	    is_groups(word, HEX, 6, 1, 2, '.') || is_groups(word, HEX, 3, 4, 4, '.') ||
	    is_groups(word, HEX, 1, 12, 12, '\0');
}

/* Also the beginning of one, as "net 10.1" has it. */
static bool
is_ip4(const char *word)
{
	for (size_t n = 2; n <= 4; n++)
		if (is_groups(word, DIGITS, n, 1, TOKEN_LEN, '.'))
			return true;
	return false;
}

/* An address with colons that libpcap's scanner takes as a whole, too? */
static bool
is_colon_address(const char *at, struct token *ret)
{
	size_t len = strspn(at, HEX ":.");
	struct in6_addr ip6;

	if (len >= TOKEN_LEN || (at[len] != '\0' && strchr(WORD_CHARS, at[len]) != NULL))
		return false;
	set_token(ret, at, len);
	return strchr(ret->text, ':') != NULL &&
	    (is_mac(ret->text) || inet_pton(AF_INET6, ret->text, &ip6) == 1);
}

/* --- the scan --- */

/*
 * Without "-" and "_" at its end, as libpcap cuts it.  A word behind a
 * backslash is never a keyword and ends at a blank, '!' or a parenthesis.
 */
static void
read_word(const char *at, struct token *ret)
{
	size_t len;

	if (*at == '\\') {
		set_token(ret, at, 1 + strcspn(at + 1, " !()\n\t"));
		return;
	}
	len = strspn(at, WORD_CHARS);
	while (at[len - 1] == '-' || at[len - 1] == '_')
		len--;
	set_token(ret, at, len);
}

/* "(", "!", "&&" and "||" go on with what was asked for; others, ")" too, begin anew. */
static enum context
skip_operator(const char **at, enum context context)
{
	const char *p = *at;
	bool is_pair = (*p == '&' || *p == '|') && p[1] == *p;

	*at += is_pair ? 2 : 1;
	if (strchr(" \t\r\n", *p) != NULL)
		return context;
	return context == IS_LISTED && (is_pair || *p == '(' || *p == '!') ? IS_LISTED : IS_HOST;
}

static enum context
after_keyword(const char *word, enum context context)
{
	static const char *const lists[] = { "port", "portrange", "proto", "protochain" };
	static const char *const joints[] = { "or", "and", "not" };
	static const char *const tables[] = {
		"type", "subtype", "dir", "direction", "llc", "on", "ifname", "rset", "ruleset",
		"action", "reason",
	};

	if (is_one_of(word, lists, ARRAY_LEN(lists)))
		return IS_LISTED;
	if (is_one_of(word, tables, ARRAY_LEN(tables)))
		return IS_WORD;
	return context == IS_LISTED && is_one_of(word, joints, ARRAY_LEN(joints)) ? IS_LISTED :
	    IS_HOST;
}

static bool
is_known(const struct token *word)
{
	return word->len < TOKEN_LEN &&
	    (is_number(word->text) || is_ip4(word->text) || is_mac(word->text));
}

/* context becomes what holds behind the word; false when it is the name of a host or net. */
static bool
take_word(const struct token *word, enum context *context)
{
	if (word->len < TOKEN_LEN && filter_is_keyword(word->text)) {
		*context = after_keyword(word->text, *context);
		return true;
	}
	if (*context == IS_HOST)
		return is_known(word);
	if (*context == IS_WORD)
		*context = IS_HOST;
	return true;
}

bool
filter_find_host_name(const char *text, const char **ret_name, size_t *ret_len)
{
	enum context context = IS_HOST;
	struct token word;

	while (*text != '\0') {
		if (is_colon_address(text, &word)) {
			context = IS_HOST;
		} else if (strchr(WORD_START "\\", *text) == NULL) {
			context = skip_operator(&text, context);
			continue;
		} else {
			read_word(text, &word);
			if (!take_word(&word, &context))
				break;
		}
		text += word.len;
	}
	if (*text == '\0')
		return false;
	*ret_name = word.at;
	*ret_len = word.len;
	return true;
}
