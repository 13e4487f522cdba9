#include "client/filter.h"

#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "common/link_type.h"
#include "proto/limits.h"

enum {
	/* What every program returns for a match; snaplen is cut elsewhere. */
	COMPILE_SNAPLEN = 262144,

	/* In messages: leaves room for the cause. */
	SHOWN_TEXT = 80,
};

/* What is not in the packet: the kernel's SKF_AD_, SKF_NET_ and SKF_LL_OFF. */
#define IS_METADATA(k)	((k) >= UINT32_C(0x80000000))

struct filter_code {
	unsigned	 refs;
	struct bpf_program libpcap;
	bool		 has_loop;
	bool		 has_metadata;
	struct bpf_insn_raw insns[];	/* libpcap's, in our struct */
};

struct compiler {
	const char	*text;
	pcap_t		*pcap;
	char		 link[LINK_TYPE_TEXT_LEN];
};

static int
fail(const struct compiler *c, int code, const char *message, struct err *err)
{
	return err_set(err, code, "filter '%.*s%s': compile for %s: %s", SHOWN_TEXT, c->text,
	    strlen(c->text) > SHOWN_TEXT ? "..." : "", c->link, message);
}

/* libpcap counts link types otherwise than files do, where systems differ. */
static int
dlt_of(uint32_t link_type)
{
	static const struct { uint32_t link_type; int dlt; } differ[] = {
		{ 100, DLT_ATM_RFC1483 }, { LINK_RAW_IP, DLT_RAW }, { 106, DLT_ATM_CLIP },
	};

	for (size_t i = 0; i < ARRAY_LEN(differ); i++)
		if (differ[i].link_type == link_type)
			return differ[i].dlt;
	return (int)link_type;
}

static bool
has_loop(const struct bpf_program *code)
{
	for (u_int i = 0; i < code->bf_len; i++)
		if (code->bf_insns[i].code == (BPF_JMP | BPF_JA) &&
		    code->bf_insns[i].k >= code->bf_len)
			return true;
	return false;
}

static bool
has_metadata(const struct bpf_program *code)
{
	for (u_int i = 0; i < code->bf_len; i++) {
		const struct bpf_insn *insn = &code->bf_insns[i];

		if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) == BPF_ABS &&
		    IS_METADATA(insn->k))
			return true;
	}
	return false;
}

/* Is there somebody who can run it? */
static int
judge(const struct compiler *c, const struct filter_code *code, struct err *err)
{
	struct err cause;

	if (code->has_loop && code->has_metadata)
		return fail(c, E_FILTER, "'protochain' needs a loop, which the kernel's "
		    "filter does not have, and only the kernel knows direction and "
		    "ifindex: not in one expression", err);
	if (filter_code_why_not(code) == NULL &&
	    bpf_prog_check(code->insns, code->libpcap.bf_len, &cause) != E_OK)
		return fail(c, E_FILTER, cause.what, err);
	return E_OK;
}

/* Takes program over, also on failure. */
static int
take_program(const struct compiler *c, struct bpf_program *program,
    struct filter_code **ret_code, struct err *err)
{
	struct filter_code *code = malloc(sizeof(*code) +
	    program->bf_len * sizeof(code->insns[0]));
	int rc;

	if (code == NULL) {
		pcap_freecode(program);
		return fail(c, E_NOMEM, "out of memory", err);
	}
	code->refs = 1;
	code->libpcap = *program;
	code->has_loop = has_loop(program);
	code->has_metadata = has_metadata(program);
	for (u_int i = 0; i < program->bf_len; i++) {
		const struct bpf_insn *insn = &program->bf_insns[i];

		code->insns[i] = (struct bpf_insn_raw){ insn->code, insn->jt, insn->jf, insn->k };
	}
	rc = judge(c, code, err);
	if (rc == E_OK)
		*ret_code = code;
	else
		filter_code_unref(code);
	return rc;
}

int
filter_compile(const char *text, uint32_t link_type, struct filter_code **ret_code,
    struct err *err)
{
	struct compiler c = { .text = text };
	struct bpf_program program;
	int ret;

	link_type_text(link_type, c.link, sizeof(c.link));
	if (strlen(text) > PROTO_MAX_FILTER_TEXT)
		return fail(&c, E_TOOBIG, "more than 65536 bytes", err);
	c.pcap = pcap_open_dead(dlt_of(link_type), COMPILE_SNAPLEN);
	if (c.pcap == NULL)
		return fail(&c, E_NOMEM, "out of memory", err);
	if (pcap_compile(c.pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0)
		ret = fail(&c, E_FILTER, pcap_geterr(c.pcap), err);
	else
		ret = take_program(&c, &program, ret_code, err);
	pcap_close(c.pcap);
	return ret;
}

struct filter_code *
filter_code_ref(struct filter_code *code)
{
	code->refs++;
	return code;
}

void
filter_code_unref(struct filter_code *code)
{
	if (code == NULL || --code->refs > 0)
		return;
	pcap_freecode(&code->libpcap);
	free(code);
}

const char *
filter_code_why_not(const struct filter_code *code)
{
	if (code->has_loop)
		return "'protochain' needs a loop, which the kernel's filter does not have";
	if (code->libpcap.bf_len > BPF_PROG_MAX)
		return "more than 4096 instructions, the kernel's limit";
	return NULL;
}

const struct bpf_insn_raw *
filter_code_insns(const struct filter_code *code, uint32_t *ret_n)
{
	*ret_n = code->libpcap.bf_len;
	return code->insns;
}

bool
filter_code_match_from(const struct filter_code *code, uint32_t start,
    const struct bpf_view *view)
{
	struct pcap_pkthdr header = { .caplen = view->caplen, .len = view->len };
	struct bpf_program rest = {
		.bf_len = code->libpcap.bf_len - start, .bf_insns = code->libpcap.bf_insns + start,
	};
	bool is_cut;

	if (code->has_metadata)
		return bpf_prog_judge(code->insns + start, rest.bf_len, view, &is_cut) != 0;
	return pcap_offline_filter(&rest, &header, view->data) != 0;
}

bool
filter_code_match(const struct filter_code *code, const struct bpf_view *view)
{
	return filter_code_match_from(code, 0, view);
}
