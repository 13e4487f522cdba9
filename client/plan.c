#include "client/plan.h"

#include <inttypes.h>

#include "common/link_type.h"
#include "common/log.h"

enum {
	ESCAPED_LEN = 4 * PROTO_MAX_TEXT + 1,
	INSN_LEN = 96,
};

/* --- -d, -dd, -ddd --- */

static void
dump_insn(FILE *out, unsigned level, const struct bpf_insn_raw *insn, uint32_t number)
{
	char text[INSN_LEN];

	switch (level) {
	case 1:
		bpf_insn_format(insn, number, text, sizeof(text));
		fprintf(out, "%s\n", text);
		break;
	case 2:
		fprintf(out, "{ 0x%x, %u, %u, 0x%08" PRIx32 " },\n", insn->code, insn->jt,
		    insn->jf, insn->k);
		break;
	default:
		fprintf(out, "%u %u %u %" PRIu32 "\n", insn->code, insn->jt, insn->jf,
		    insn->k);
		break;
	}
}

static void
print_name(FILE *out, const struct msg_capture_interface *iface)
{
	char escaped[ESCAPED_LEN];

	if (iface->network_namespace[0] != '\0') {
		log_escape(escaped, sizeof(escaped), iface->network_namespace);
		fprintf(out, "%s/", escaped);
	}
	log_escape(escaped, sizeof(escaped), iface->name);
	fputs(escaped, out);
}

static void
dump(FILE *out, unsigned level, const struct msg_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_interfaces; i++) {
		const struct msg_plan_interface *p = &plan->interfaces[i];
		char link[LINK_TYPE_TEXT_LEN];

		if (plan->n_interfaces > 1) {
			/* A comment where the lines are: in C, and elsewhere. */
			fputs(level == 2 ? "// " : "# ", out);
			print_name(out, &p->interface);
			link_type_text(p->interface.link_type, link, sizeof(link));
			fprintf(out, ": %s\n", link);
		}
		if (level > 2)
			fprintf(out, "%" PRIu32 "\n", p->n_insns);
		for (uint32_t j = 0; j < p->n_insns; j++)
			dump_insn(out, level, &p->insns[j], j);
	}
}

/* --- --plan --- */

/* "  snapshot length  ": what follows stands in one column. */
static void
print_label(FILE *out, const char *label)
{
	fprintf(out, "  %-16s  ", label);
}

static void
print_size(FILE *out, uint64_t bytes)
{
	enum { KIB = 1 << 10, MIB = 1 << 20 };

	if (bytes >= MIB && bytes % MIB == 0)
		fprintf(out, "%" PRIu64 " MiB", bytes / MIB);
	else if (bytes >= KIB && bytes % KIB == 0)
		fprintf(out, "%" PRIu64 " KiB", bytes / KIB);
	else
		fprintf(out, "%" PRIu64 " bytes", bytes);
}

static void
print_link(FILE *out, const struct msg_capture_interface *iface)
{
	char link[LINK_TYPE_TEXT_LEN];

	link_type_text(iface->link_type, link, sizeof(link));
	print_label(out, "link type");
	fprintf(out, "%s\n", link);
	print_label(out, "snapshot length");
	fprintf(out, "%" PRIu32 " bytes\n", iface->snaplen);
	print_label(out, "promiscuous");
	fprintf(out, "%s\n", iface->is_promiscuous ? "yes" : "no");
}

static void
print_time_stamps(FILE *out, enum time_stamp_type type)
{
	print_label(out, "time stamps");
	fprintf(out, "%s\n", type == TIME_STAMP_ADAPTER ? "the adapter's clock" :
	    type == TIME_STAMP_ADAPTER_UNSYNCED ?
	    "the adapter's clock, not synced with system time" : "the sensor's clock");
}

static void
print_ring(FILE *out, const struct msg_plan_interface *p)
{
	print_label(out, "kernel ring");
	print_size(out, p->ring_bytes);
	if (p->block_bytes > 0) {
		fprintf(out, ": %" PRIu64 " blocks of ", p->ring_bytes / p->block_bytes);
		print_size(out, p->block_bytes);
		fprintf(out, ", each handed over after %" PRIu32 " ms at the latest",
		    p->retire_ms);
	}
	fputs("\n", out);
}

static void
print_tags(FILE *out, const struct msg_plan_interface *p, const char *filter,
    bool is_forced)
{
	const char *text;

	if (link_type_made_header(p->interface.link_type) > 0)
		text = "lost: cooked packets carry none";
	else if (p->interface.link_type != LINK_ETHERNET)
		return;
	else if (filter[0] == '\0')
		text = "kept";
	else if (p->exact_vlan && is_forced)
		text = "kept, and filtered as in a file, because of --exact-filter";
	else if (p->exact_vlan)
		text = "kept, and filtered as in a file, because the filter speaks of tags";
	else
		text = "kept, but passed over by the filter on received packets, as tcpdump "
		    "does, because it does not speak of tags (--exact-filter: as in a file)";
	print_label(out, "VLAN tags");
	fprintf(out, "%s\n", text);
}

static void
print_filter(FILE *out, enum filter_place place, const char *filter, const char *why)
{
	char escaped[ESCAPED_LEN];

	log_escape(escaped, sizeof(escaped), filter);
	print_label(out, "filter");
	fprintf(out, "%s\n", filter[0] == '\0' ? "none: everything" : escaped);
	if (filter[0] == '\0')
		return;
	print_label(out, "filter runs");
	if (place == FILTER_KERNEL)
		fputs("in the kernel\n", out);
	else if (place == FILTER_AGENT)
		fputs("in the kernel; for tagged packets in the agent, because the program "
		    "for them does not fit\n", out);
	else
		/* What the agent decided, its warning explains. */
		fprintf(out, "here, on arrival%s%s\n",
		    why != NULL ? ": all packets travel, because " : "",
		    why != NULL ? why : "");
}

static const char *
part_text(enum plan_part kind)
{
	switch (kind) {
	case PLAN_MANDATORY:
		return "mandatory filter of capagent.conf";
	case PLAN_OWN_TRAFFIC:
		return "own traffic of the agent";
	case PLAN_LOOPBACK:
		return "duplicates on loopback";
	case PLAN_DIRECTION:
		return "direction";
	case PLAN_FILTER:
		return "filter";
	case PLAN_FILTER_TAGGED:
		return "filter, tagged packets";
	case PLAN_SAMPLE:
		return "sample of packets";
	case PLAN_SAMPLE_FLOWS:
		return "sample of flows";
	case PLAN_HEADERS:
		return "end of the headers";
	case PLAN_CAP:
		return "snapshot length";
	}
	return "further part";
}

static void
print_program(FILE *out, const struct msg_plan_interface *p)
{
	uint32_t part = 0;

	print_label(out, "kernel program");
	fprintf(out, "%" PRIu32 " instruction%s\n", p->n_insns, p->n_insns == 1 ? "" : "s");
	for (uint32_t i = 0; i < p->n_insns; i++) {
		for (; part < p->n_parts && p->parts[part].first == i; part++)
			fprintf(out, "    %s:\n", part_text(p->parts[part].kind));
		fputs("      ", out);
		dump_insn(out, 1, &p->insns[i], i);
	}
}

static void
print_text(FILE *out, const char *label, const char *text)
{
	char escaped[ESCAPED_LEN];

	log_escape(escaped, sizeof(escaped), text);
	print_label(out, label);
	fprintf(out, "%s\n", escaped);
}

static void
print_interface(FILE *out, const struct msg_plan_interface *p,
    const struct options *options, const struct programs *programs)
{
	uint32_t request = p->interface.request;
	const struct options_interface *asked = request < options->n_interfaces ?
	    &options->interfaces[request] : NULL;
	const char *filter = asked != NULL ? asked->filter_text : "";

	fprintf(out, "%s:", options->sensor.host);
	print_name(out, &p->interface);
	fputs("\n", out);
	print_link(out, &p->interface);
	print_time_stamps(out, p->interface.time_stamp_type);
	print_ring(out, p);
	print_tags(out, p, filter, options->exact_filter);
	print_filter(out, p->interface.filter_place, filter,
	    asked != NULL ? programs_why_at_client(programs, asked->filter) : NULL);
	print_program(out, p);
	for (uint32_t i = 0; i < p->n_warnings; i++)
		print_text(out, "warning", p->warnings[i]);
	fputs("\n", out);
}

int
plan_print(FILE *out, const struct msg_plan *plan, const struct options *options,
    const struct programs *programs, struct err *err)
{
	if (options->dump > 0) {
		dump(out, options->dump, plan);
	} else {
		for (uint32_t i = 0; i < plan->n_interfaces; i++)
			print_interface(out, &plan->interfaces[i], options, programs);
		fputs("agent\n", out);
		print_label(out, "buffer");
		print_size(out, plan->log_bytes);
		fputs("\n", out);
		if (plan->notes[0] != '\0')
			print_text(out, "note", plan->notes);
	}
	if (fflush(out) == 0 && !ferror(out))
		return E_OK;
	err_sys(err, "plan: write");
	if (err != NULL)
		err->code = E_OUTPUT;
	return E_OUTPUT;
}
