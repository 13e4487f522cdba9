#include "client/sqlite/expression.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/filter.h"
#include "client/sqlite/answerable.h"
#include "client/sqlite/head.h"
#include "common/link_type.h"

enum {
	SHOWN_TEXT = 80,	/* in messages: leaves room for the cause */
	SHOWN_NAME = 64,
	INSN_TEXT_LEN = 96,	/* one instruction and a newline */
};

/* Connections that have a head of their own, for each version: nearly all. */
enum { HEAD_TCP, HEAD_UDP, N_HEADS };

struct expression {
	unsigned	 refs;
	uint32_t	 link_type;
	struct filter_code *code;
	struct head	 ip4[N_HEADS], ip6[N_HEADS];	/* of the tuple forms */
};

/* libpcap's compiler looks names up with functions that are not reentrant. */
static pthread_mutex_t compiler = PTHREAD_MUTEX_INITIALIZER;

static int
compile(const char *text, uint32_t link_type, struct filter_code **ret, struct err *err)
{
	int code;

	pthread_mutex_lock(&compiler);
	code = filter_compile(text, link_type, ret, err);
	pthread_mutex_unlock(&compiler);
	return code;
}

static int
refuse(const char *text, const char *cause, struct err *err)
{
	return err_set(err, E_FILTER, "filter '%.*s%s': cannot be answered from a connection: %s",
	    SHOWN_TEXT, text, strlen(text) > SHOWN_TEXT ? "..." : "", cause);
}

/* What compiles for Ethernet only asks for what a connection does not have. */
static int
blame_link_layer(const char *text, struct err *err)
{
	struct filter_code *code;

	if (compile(text, LINK_ETHERNET, &code, NULL) != E_OK)
		return E_FILTER;
	filter_code_unref(code);
	return refuse(text, "it needs a link layer: VLAN tags, MAC addresses or what is not IP",
	    err);
}

static int
check_tuple(const char *text, enum expression_form form, const struct filter_code *code,
    struct err *err)
{
	enum tuple_icmp icmp = form == EXPRESSION_TUPLE ? TUPLE_ICMP_IS_TYPE_AND_CODE :
	    TUPLE_ICMP_IS_UNKNOWN;
	struct err cause;
	uint32_t n;
	const struct bpf_insn_raw *insns = filter_code_insns(code, &n);
	int ret = answerable_check(insns, n, icmp, &cause);

	if (ret == E_FILTER)
		return refuse(text, cause.what, err);
	return ret == E_OK ? E_OK : err_set(err, ret, "%s", cause.what);
}

static void
find_heads(struct expression *e)
{
	static const uint8_t protocols[N_HEADS] = {
		[HEAD_TCP] = IPPROTO_TCP, [HEAD_UDP] = IPPROTO_UDP,
	};
	uint32_t n;
	const struct bpf_insn_raw *insns = filter_code_insns(e->code, &n);

	for (size_t i = 0; i < N_HEADS; i++) {
		e->ip4[i] = head_find(insns, 4, protocols[i]);
		e->ip6[i] = head_find(insns, 6, protocols[i]);
	}
}

/*
 * Who may write an expression, a database's author say, may neither make us
 * ask the network nor keep the compiler busy with a long text.
 */
static int
check_text(const char *text, struct err *err)
{
	const char *name;
	size_t len;

	if (strlen(text) > EXPRESSION_TEXT_MAX)
		return err_set(err, E_TOOBIG, "filter '%.*s...': longer than %d bytes: write "
		    "several, joined by SQL's AND and OR", SHOWN_TEXT, text,
		    EXPRESSION_TEXT_MAX);
	if (!filter_find_host_name(text, &name, &len))
		return E_OK;
	return err_set(err, E_FILTER, "filter '%.*s%s': name '%.*s': names of hosts are not "
	    "looked up from SQL: write the address", SHOWN_TEXT, text,
	    strlen(text) > SHOWN_TEXT ? "..." : "", len < SHOWN_NAME ? (int)len : SHOWN_NAME,
	    name);
}

int
expression_new(const char *text, enum expression_form form, uint32_t link_type,
    struct expression **ret, struct err *err)
{
	bool is_tuple = form != EXPRESSION_PACKET;
	struct filter_code *filter;
	struct expression *e;
	int code = check_text(text, err);

	if (code != E_OK)
		return code;
	code = compile(text, link_type, &filter, err);
	if (code == E_FILTER && is_tuple)
		return blame_link_layer(text, err);
	if (code == E_OK && is_tuple) {
		code = check_tuple(text, form, filter, err);
		if (code != E_OK)
			filter_code_unref(filter);
	}
	if (code != E_OK)
		return code;
	e = malloc(sizeof(*e));
	if (e == NULL) {
		filter_code_unref(filter);
		return err_set(err, E_NOMEM, "out of memory");
	}
	*e = (struct expression){
		.refs = 1, .link_type = link_type, .code = filter,
	};
	if (is_tuple)
		find_heads(e);
	*ret = e;
	return E_OK;
}

struct expression *
expression_ref(struct expression *expression)
{
	expression->refs++;
	return expression;
}

void
expression_unref(struct expression *expression)
{
	if (expression == NULL || --expression->refs > 0)
		return;
	filter_code_unref(expression->code);
	free(expression);
}

uint32_t
expression_link_type(const struct expression *expression)
{
	return expression->link_type;
}

bool
expression_match_packet(const struct expression *expression, const uint8_t *data,
    uint32_t caplen, uint32_t len)
{
	const struct bpf_view view = {
		.data = data, .caplen = caplen, .len = len, .is_offline = true,
	};

	return filter_code_match(expression->code, &view);
}

/* From the beginning where nothing is known. */
static const struct head *
head_of(const struct expression *expression, const struct tuple *tuple)
{
	static const struct head none = { .end = HEAD_GOES_ON, .start = 0 };
	const struct head *heads = tuple->version == 4 ? expression->ip4 : expression->ip6;

	switch (tuple->protocol) {
	case IPPROTO_TCP:
		return &heads[HEAD_TCP];
	case IPPROTO_UDP:
		return &heads[HEAD_UDP];
	default:
		return &none;
	}
}

bool
expression_match_tuple(const struct expression *expression, const struct tuple *tuple)
{
	const struct head *head = head_of(expression, tuple);
	uint8_t packet[TUPLE_PACKET_MAX];
	struct bpf_view view = { .data = packet, .is_offline = true };

	if (head->end != HEAD_GOES_ON)
		return head->end == HEAD_YES;
	view.len = view.caplen = (uint32_t)tuple_write(tuple, packet);
	return filter_code_match_from(expression->code, head->start, &view);
}

int
expression_explain(const struct expression *expression, char **ret_text)
{
	uint32_t n;
	const struct bpf_insn_raw *insns = filter_code_insns(expression->code, &n);
	size_t len = 0, size = (size_t)n * INSN_TEXT_LEN + 1;
	char *text = malloc(size);

	if (text == NULL)
		return E_NOMEM;
	text[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			text[len++] = '\n';
		bpf_insn_format(&insns[i], i, text + len, INSN_TEXT_LEN);
		len += strlen(text + len);
	}
	*ret_text = text;
	return E_OK;
}
