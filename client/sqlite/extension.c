/*
 * extension - bpf_filter.so: the filter language as functions of SQLite.
 *
 * Loaded into somebody else's process: keeps no state but what belongs to a
 * database connection, prints nothing, exports its entry point only.  Each
 * function finds its compiled expression with the statement (auxiliary data),
 * or, for an expression that is another one in each row, in the connection's
 * cache.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sqlite3ext.h>

#include "client/sqlite/expression.h"
#include "common/link_type.h"

SQLITE_EXTENSION_INIT1

enum {
	FLAGS = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
	DLT_RAW_IP = 12,	/* libpcap's own number for LINK_RAW_IP */
	LINK_TYPE_MAX = 65535,	/* files have 16 bits for it */
	NO_PORT = -1,		/* out of every range */
};

__attribute__((visibility("default"))) int sqlite3_bpffilter_init(sqlite3 *db,
    char **ret_message, const sqlite3_api_routines *api);

/* --- a database connection --- */

/* Shared by its functions; SQLite holds the connection's mutex around them. */
struct connection {
	unsigned	 refs;
	struct expression_cache *cache;
};

static int
connection_new(struct connection **ret)
{
	struct connection *c = malloc(sizeof(*c));

	if (c == NULL)
		return E_NOMEM;
	c->refs = 1;
	if (expression_cache_new(&c->cache) != E_OK) {
		free(c);
		return E_NOMEM;
	}
	*ret = c;
	return E_OK;
}

static void
connection_unref(void *arg)
{
	struct connection *c = arg;

	if (--c->refs > 0)
		return;
	expression_cache_free(c->cache);
	free(c);
}

/* --- values and errors --- */

static void
fail(sqlite3_context *ctx, const char *function, const struct err *err)
{
	char *text = NULL;

	if (err->code != E_NOMEM)
		text = sqlite3_mprintf("%s: %s", function, err->what);
	if (text == NULL)
		sqlite3_result_error_nomem(ctx);
	else
		sqlite3_result_error(ctx, text, -1);
	sqlite3_free(text);
}

static bool
is_null(sqlite3_value *value)
{
	return sqlite3_value_type(value) == SQLITE_NULL;
}

/*
 * The text of a value, NULL for SQL's NULL; false for one with a NUL inside,
 * and without memory, which ends the statement anyway.
 */
static bool
get_text(sqlite3_value *value, const char **ret)
{
	const char *text = (const char *)sqlite3_value_text(value);

	if (text == NULL)
		*ret = NULL;
	else if (strlen(text) == (size_t)sqlite3_value_bytes(value))
		*ret = text;
	else
		return false;
	return text != NULL || is_null(value);
}

/* The same with its length, of whatever bytes. */
static inline bool
get_sized_text(sqlite3_value *value, struct tuple_text *ret)
{
	ret->at = (const char *)sqlite3_value_text(value);
	ret->len = ret->at == NULL ? 0 : (size_t)sqlite3_value_bytes(value);
	return ret->at != NULL || is_null(value);
}

/* NULL and '' are port 0; also "445" and 445.0, as imports leave them. */
static int64_t
get_port(sqlite3_value *value)
{
	double number;

	switch (sqlite3_value_numeric_type(value)) {
	case SQLITE_NULL:
		return 0;
	case SQLITE_INTEGER:
		return sqlite3_value_int64(value);
	case SQLITE_FLOAT:
		number = sqlite3_value_double(value);
		if (number >= 0 && number <= TUPLE_PORT_MAX && number - (int)number <= 0)
			return (int64_t)number;
		return NO_PORT;
	case SQLITE_TEXT:
		return sqlite3_value_bytes(value) == 0 ? 0 : NO_PORT;
	default:
		return NO_PORT;
	}
}

/* --- the expression --- */

static void
drop_expression(void *arg)
{
	expression_unref(arg);
}

static int
find_expression(sqlite3_context *ctx, sqlite3_value *value, enum expression_form form,
    uint32_t link_type, struct expression **ret, struct err *err)
{
	const struct connection *c = sqlite3_user_data(ctx);
	const char *text;

	if (!get_text(value, &text))
		return err_set(err, E_FILTER, "the expression is no text: it holds a NUL");
	return expression_cache_get(c->cache, text, form, link_type, ret, err);
}

/*
 * get_expression() where SQLite has none.  Apart, since it is once a statement
 * and room for an error would be cleared at each row.
 */
static __attribute__((noinline)) struct expression *
make_expression(sqlite3_context *ctx, const char *function, sqlite3_value *value,
    enum expression_form form, uint32_t link_type)
{
	struct expression *e;
	struct err err;

	if (is_null(value))
		return NULL;
	if (find_expression(ctx, value, form, link_type, &e, &err) != E_OK) {
		fail(ctx, function, &err);
		return NULL;
	}
	sqlite3_set_auxdata(ctx, 0, expression_ref(e), drop_expression);
	return e;
}

/*
 * Argument 0 compiled; NULL when it is NULL, as then the result is, and when
 * that failed, which is then the result.  Where the argument is a constant of
 * the statement SQLite keeps it as long as that runs.
 */
static struct expression *
get_expression(sqlite3_context *ctx, const char *function, sqlite3_value *value,
    enum expression_form form, uint32_t link_type)
{
	struct expression *e = sqlite3_get_auxdata(ctx, 0);

	/* The link type may be another one in each row. */
	if (e != NULL && expression_link_type(e) == link_type)
		return e;
	return make_expression(ctx, function, value, form, link_type);
}

/* --- bpf_filter --- */

/* Values of a row that stand for a connection. */
struct row {
	sqlite3_value	*src, *dst, *sport, *dport, *transport;
};

static bool
read_row(const struct row *row, enum tuple_icmp icmp, struct tuple *ret)
{
	struct tuple_text src, dst, transport;

	return get_sized_text(row->src, &src) && get_sized_text(row->dst, &dst) &&
	    get_sized_text(row->transport, &transport) &&
	    tuple_read_hosts(ret, src, dst) && tuple_read_transport(ret, transport) &&
	    tuple_set_ports(ret, get_port(row->sport), get_port(row->dport), icmp);
}

/* bpf_filter(expression, src, dst, sport, dport, transport) */
static void
filter_tuple(sqlite3_context *ctx, int n, sqlite3_value **args)
{
	const struct row row = { args[1], args[2], args[3], args[4], args[5] };
	const struct expression *e;
	struct tuple tuple;

	(void)n;
	e = get_expression(ctx, "bpf_filter", args[0], EXPRESSION_TUPLE, LINK_RAW_IP);
	if (e == NULL)
		return;
	sqlite3_result_int(ctx, read_row(&row, TUPLE_ICMP_IS_TYPE_AND_CODE, &tuple) &&
	    expression_match_tuple(e, &tuple));
}

/* The row from args of the seven, by who began; false when nobody did or nobody knows. */
static bool
orient(sqlite3_value **args, struct row *ret)
{
	const char *type;

	if (!get_text(args[1], &type) || type == NULL)
		return false;
	if (strcasecmp(type, "accept") == 0 || strcasecmp(type, "reject") == 0)
		*ret = (struct row){ args[3], args[2], args[5], args[4], args[6] };
	else if (strcasecmp(type, "connect") == 0)
		*ret = (struct row){ args[2], args[3], args[4], args[5], args[6] };
	else
		return false;
	return true;
}

/*
 * bpf_filter(expression, connection_type, local_host, remote_host, local_port,
 * remote_port, connection_transport)
 */
static void
filter_connection(sqlite3_context *ctx, int n, sqlite3_value **args)
{
	const struct expression *e;
	struct tuple tuple;
	struct row row;

	(void)n;
	e = get_expression(ctx, "bpf_filter", args[0], EXPRESSION_TUPLE_NO_ICMP, LINK_RAW_IP);
	if (e == NULL)
		return;
	sqlite3_result_int(ctx, orient(args, &row) &&
	    read_row(&row, TUPLE_ICMP_IS_UNKNOWN, &tuple) && expression_match_tuple(e, &tuple));
}

/* --- bpf_match and bpf_explain --- */

static int
get_link_type(sqlite3_value *value, uint32_t *ret, struct err *err)
{
	const char *text;
	uint32_t link_type;

	if (!get_text(value, &text) || !link_type_from_name(text, &link_type) ||
	    link_type > LINK_TYPE_MAX)
		return err_set(err, E_USAGE, "the link type is neither a name such as EN10MB "
		    "or RAW nor a number from 0 to 65535");
	*ret = link_type == DLT_RAW_IP ? LINK_RAW_IP : link_type;
	return E_OK;
}

/* Of a frame whose size bytes are given. */
static int
get_original_len(sqlite3_value *value, uint32_t size, uint32_t *ret, struct err *err)
{
	sqlite3_int64 len = sqlite3_value_int64(value);

	if (sqlite3_value_type(value) != SQLITE_INTEGER || len < size || len > UINT32_MAX)
		return err_set(err, E_USAGE, "the original length is no number from %u, the "
		    "length of what is given, to 4294967295", size);
	*ret = (uint32_t)len;
	return E_OK;
}

/* The arguments behind the packet. */
static int
get_packet_options(int n, sqlite3_value **args, uint32_t size, uint32_t *ret_link_type,
    uint32_t *ret_len, struct err *err)
{
	int code = E_OK;

	*ret_link_type = LINK_ETHERNET;
	*ret_len = size;
	if (n > 2 && !is_null(args[2]))
		code = get_link_type(args[2], ret_link_type, err);
	if (code == E_OK && n > 3 && !is_null(args[3]))
		code = get_original_len(args[3], size, ret_len, err);
	return code;
}

/* bpf_match(expression, packet [, linktype [, original_length]]) */
static void
match_packet(sqlite3_context *ctx, int n, sqlite3_value **args)
{
	const struct expression *e;
	uint32_t size, link_type, len;
	struct err err;

	if (is_null(args[0]) || is_null(args[1]))
		return;
	if (sqlite3_value_type(args[1]) != SQLITE_BLOB) {
		err_set(&err, E_USAGE, "the packet is no blob: write x'4500...' or cast it");
		fail(ctx, "bpf_match", &err);
		return;
	}
	size = (uint32_t)sqlite3_value_bytes(args[1]);
	if (get_packet_options(n, args, size, &link_type, &len, &err) != E_OK) {
		fail(ctx, "bpf_match", &err);
		return;
	}
	e = get_expression(ctx, "bpf_match", args[0], EXPRESSION_PACKET, link_type);
	if (e == NULL)
		return;
	sqlite3_result_int64(ctx, expression_match_packet(e, sqlite3_value_blob(args[1]), size,
	    len) ? size : 0);
}

/* bpf_explain(expression [, linktype]) */
static void
explain(sqlite3_context *ctx, int n, sqlite3_value **args)
{
	const struct expression *e;
	uint32_t link_type = LINK_ETHERNET;
	struct err err;
	char *text;

	if (is_null(args[0]))
		return;
	if (n > 1 && !is_null(args[1]) && get_link_type(args[1], &link_type, &err) != E_OK) {
		fail(ctx, "bpf_explain", &err);
		return;
	}
	e = get_expression(ctx, "bpf_explain", args[0], EXPRESSION_PACKET, link_type);
	if (e == NULL)
		return;
	if (expression_explain(e, &text) != E_OK)
		sqlite3_result_error_nomem(ctx);
	else
		sqlite3_result_text(ctx, text, -1, free);
}

/* --- the entry point --- */

typedef void function(sqlite3_context *, int, sqlite3_value **);

static const struct { const char *name; int n_args; function *call; } functions[] = {
	{ "bpf_filter", 6, filter_tuple }, { "bpf_filter", 7, filter_connection },
	{ "bpf_match", 2, match_packet }, { "bpf_match", 3, match_packet },
	{ "bpf_match", 4, match_packet },
	{ "bpf_explain", 1, explain }, { "bpf_explain", 2, explain },
};

/* The name that SQLite makes of bpf_filter.so. */
int
sqlite3_bpffilter_init(sqlite3 *db, char **ret_message, const sqlite3_api_routines *api)
{
	struct connection *c;
	int code = SQLITE_OK;

	SQLITE_EXTENSION_INIT2(api);
	if (connection_new(&c) != E_OK)
		return SQLITE_NOMEM;
	for (size_t i = 0; i < ARRAY_LEN(functions) && code == SQLITE_OK; i++) {
		c->refs++;
		/* On failure too SQLite calls connection_unref(). */
		code = sqlite3_create_function_v2(db, functions[i].name, functions[i].n_args,
		    FLAGS, c, functions[i].call, NULL, NULL, connection_unref);
	}
	connection_unref(c);
	/* Loaded once more, say, by a statement that another one is running beside. */
	if (code != SQLITE_OK && ret_message != NULL)
		*ret_message = sqlite3_mprintf("bpf_filter: functions: define: %s",
		    sqlite3_errmsg(db));
	return code;
}
