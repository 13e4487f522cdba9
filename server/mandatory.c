#include "server/mandatory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bpf_link.h"
#include "common/link_type.h"
#include "common/log.h"
#include "server/net_spawn.h"

enum {
	/* BPF_PROG_MAX lines of four numbers. */
	OUTPUT_LEN = BPF_PROG_MAX * 32,
	/* The compiler has a limit of 10 s of CPU; this is a machine in trouble. */
	SILENCE_MS = 60000,
	USUAL = 4,		/* link_type_all() begins with them */
};

/* The next number in *at, up to max, followed by end. */
static bool
take_number(const char **at, uint32_t max, char end, uint32_t *ret_value)
{
	char *rest;
	unsigned long long value;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	value = strtoull(*at, &rest, 10);
	if (errno != 0 || value > max || *rest != end)
		return false;
	*at = rest + 1;
	*ret_value = (uint32_t)value;
	return true;
}

int
mandatory_parse(const char *text, struct bpf_prog *ret_prog, struct err *err)
{
	const char *at = text;
	uint32_t n;

	if (!take_number(&at, BPF_PROG_MAX, '\n', &n))
		return err_set(err, E_FILTER, "filter: read instructions: no count");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t code, jt, jf, k;

		if (!take_number(&at, UINT16_MAX, ' ', &code) ||
		    !take_number(&at, UINT8_MAX, ' ', &jt) ||
		    !take_number(&at, UINT8_MAX, ' ', &jf) ||
		    !take_number(&at, UINT32_MAX, '\n', &k))
			return err_set(err, E_FILTER,
			    "filter: read instructions: line %u is not four numbers", i + 2);
		ret_prog->insns[i] = (struct bpf_insn_raw){
			.code = (uint16_t)code, .jt = (uint8_t)jt, .jf = (uint8_t)jf, .k = k,
		};
	}
	if (*at != '\0')
		return err_set(err, E_FILTER, "filter: read instructions: more than announced");
	ret_prog->n = n;
	return bpf_prog_check(ret_prog->insns, n, err);
}

/* Read to the end, or until dst is full or nothing comes any more. */
static bool
read_output(int fd, char *dst, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < size) {
		if (poll(&pfd, 1, SILENCE_MS) != 1)
			break;
		n = read(fd, dst + len, size - 1 - len);
		if (n > 0)
			len += (size_t)n;
	}
	dst[len] = '\0';
	return n == 0;
}

/* Give the compiler its text and collect what it prints, or why it failed. */
static int
converse(int in[2], int out[2], const char *text, pid_t pid, char *output, struct err *err)
{
	size_t len = strlen(text);
	bool is_sent, is_whole;
	int status = -1;

	/* The text is shorter than a pipe's buffer, so this does not block. */
	is_sent = write(in[1], text, len) == (ssize_t)len;
	close(in[1]);
	in[1] = -1;
	close(out[1]);
	out[1] = -1;
	is_whole = read_output(out[0], output, OUTPUT_LEN);
	if (!is_whole)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (is_sent && is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return E_OK;
	output[strcspn(output, "\n")] = '\0';
	if (is_whole && WIFEXITED(status) && output[0] != '\0')
		return err_set(err, E_FILTER, "%s", output);
	return err_set(err, E_FILTER, "the compiler did not finish: shorten the expression");
}

static void
close_pipe(int fds[2])
{
	for (int i = 0; i < 2; i++)
		if (fds[i] != -1)
			close(fds[i]);
}

/* Run the compile role on text. */
static int
run_compiler(const char *text, int program_fd, const struct drop_user *user,
    uint32_t link_type, char *output, struct err *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, ret;
	char type[16];
	pid_t pid;

	snprintf(type, sizeof(type), "%u", link_type);
	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
		ret = err_sys(err, "mandatory-filter: pipe");
	else
		ret = net_spawn_compile(program_fd, user, type, in[0], out[1], &pid, err);
	if (ret == E_OK)
		ret = converse(in, out, text, pid, output, err);
	close_pipe(in);
	close_pipe(out);
	return ret;
}

/* Does the text speak of VLAN tags, or of the bytes where they are? */
static bool
mentions_tags(const char *text)
{
	static const char *const words[] = {
		"vlan", "0x8100", "0x88a8", "0x9100", "ether[", "ether [", "link[", "link [",
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(text, words[i]) != NULL)
			return true;
	return false;
}

/*
 * The instructions were made for the bytes of a file; the kernel has taken
 * the outer tag out of a packet.  Rewritten, they judge it with its tag; as
 * they came, without.  A rule that does not speak of tags must hold both
 * ways: "not port 22" means that of tagged packets, too.
 */
static int
fit_to_ethernet(struct bpf_prog *prog, const char *text)
{
	static struct bpf_prog as_it_came;
	int ret;

	as_it_came.n = prog->n;
	memcpy(as_it_came.insns, prog->insns, prog->n * sizeof(prog->insns[0]));
	ret = bpf_link_vlan(prog, NULL);
	if (ret == E_TOOBIG)
		ret = bpf_link_vlan_short(prog);
	if (ret == E_OK && !mentions_tags(text))
		ret = bpf_link_append(prog, as_it_came.insns, as_it_came.n);
	return ret;
}

int
mandatory_fit(struct priv_mandatory_part *part, const char *text, struct err *err)
{
	int ret = E_OK;

	/* A CAN identifier is in the machine's byte order there. */
	if (part->link_type == LINK_CAN &&
	    bpf_prog_reads_below(part->prog.insns, part->prog.n, 4))
		ret = E_FILTER;
	else if (part->link_type == LINK_ETHERNET)
		ret = fit_to_ethernet(&part->prog, text);
	else if (link_type_made_header(part->link_type) > 0)
		ret = bpf_link_cooked(&part->prog, part->link_type);
	if (ret == E_TOOBIG)
		return err_set(err, ret, "longer than %d instructions", BPF_PROG_MAX);
	if (ret != E_OK)
		return err_set(err, ret, "the kernel cannot judge it on this link type");
	return bpf_prog_check(part->prog.insns, part->prog.n, err);
}

int
mandatory_compile(const char *text, int program_fd, const struct drop_user *user,
    struct priv_mandatory *ret_mandatory, struct err *err)
{
	unsigned n_usable = 0;
	char *output;

	priv_mandatory_init(ret_mandatory);
	if (text[0] == '\0')
		return E_OK;
	output = malloc(OUTPUT_LEN);
	if (output == NULL)
		return err_set(err, E_NOMEM, "mandatory-filter: compile: out of memory");
	for (size_t i = 0; i < ARRAY_LEN(ret_mandatory->parts); i++) {
		struct priv_mandatory_part *part = &ret_mandatory->parts[i];
		struct err why;
		int ret = run_compiler(text, program_fd, user, part->link_type, output, &why);

		if (ret == E_OK)
			ret = mandatory_parse(output, &part->prog, &why);
		if (ret == E_OK)
			ret = mandatory_fit(part, text, &why);
		part->is_usable = ret == E_OK;
		if (ret != E_OK)
			snprintf(part->why_not, sizeof(part->why_not), "%s", why.what);
		else
			n_usable++;
	}
	free(output);
	if (n_usable == 0)
		return err_set(err, E_CONFIG, "mandatory-filter: compile: %.200s",
		    ret_mandatory->parts[0].why_not);
	return E_OK;
}

int
mandatory_compile_policy(const struct policy *policy, int program_fd,
    const struct drop_user *user, struct priv_mandatory *ret_mandatory, struct err *err)
{
	int ret = mandatory_compile(policy->mandatory_filter, program_fd, user, ret_mandatory,
	    err);

	if (ret == E_CONFIG)
		err_wrap(err, "%s:%u", policy->file, policy->mandatory_line);
	return ret;
}

/* The usual link types one by one, the rare ones in one line. */
void
mandatory_log(const struct priv_mandatory *mandatory)
{
	char rare[512] = "", name[LINK_TYPE_TEXT_LEN];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(mandatory->parts); i++) {
		const struct priv_mandatory_part *part = &mandatory->parts[i];

		if (part->is_usable)
			continue;
		link_type_name(part->link_type, name, sizeof(name));
		if (i < USUAL)
			log_warn(LOG_POLICY, "mandatory-filter: has no meaning on link type %s "
			    "(%s): interfaces of that type cannot be captured", name,
			    part->why_not);
		else if (len < sizeof(rare))
			len += (size_t)snprintf(rare + len, sizeof(rare) - len, " %s", name);
	}
	if (rare[0] != '\0')
		log_debug(LOG_POLICY, "mandatory-filter: has no meaning on the rare link types%s: "
		    "interfaces of those types cannot be captured", rare);
}
