#include "server/compile_role.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "common/err.h"
#include "common/link_type.h"
#include "server/sandbox.h"

enum {
	TEXT_LEN = 4096,	/* POLICY_FILTER_LEN: capagent sends no more */
	CPU_LIMIT_S = 10,	/* libpcap's time explodes with the expression */
	SNAPLEN = 262144,
};

/* The few functions of libpcap that are needed. */
struct pcap_library {
	__typeof__(&pcap_open_dead)	 open_dead;
	__typeof__(&pcap_compile)	 compile;
	__typeof__(&pcap_geterr)	 geterr;
	__typeof__(&pcap_freecode)	 freecode;
	__typeof__(&pcap_close)		 close;
};

static bool
load_function(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);

	/* ISO C has no cast from an object to a function pointer. */
	memcpy(ret_function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static bool
load_library(struct pcap_library *lib)
{
	static const char *const names[] = { "libpcap.so.0.8", "libpcap.so.1", "libpcap.so" };
	void *library = NULL;

	for (size_t i = 0; library == NULL && i < ARRAY_LEN(names); i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	return library != NULL &&
	    load_function(library, "pcap_open_dead", &lib->open_dead) &&
	    load_function(library, "pcap_compile", &lib->compile) &&
	    load_function(library, "pcap_geterr", &lib->geterr) &&
	    load_function(library, "pcap_freecode", &lib->freecode) &&
	    load_function(library, "pcap_close", &lib->close);
}

static bool
read_text(char *dst, size_t size)
{
	size_t len = fread(dst, 1, size - 1, stdin);

	dst[len] = '\0';
	return !ferror(stdin) && len > 0 && strlen(dst) == len && getchar() == EOF;
}

/*
 * libpcap's own number (DLT_) for a LINKTYPE_ of ours; -1 for another.  They
 * differ where BSDs disagreed: raw IP among those that a device can have.
 */
static int
dlt_of(const char *text)
{
	const uint32_t *all;
	char number[16];
	size_t n;

	all = link_type_all(&n);
	for (size_t i = 0; i < n; i++) {
		snprintf(number, sizeof(number), "%u", all[i]);
		if (strcmp(number, text) == 0)
			return all[i] == LINK_RAW_IP ? DLT_RAW : (int)all[i];
	}
	return -1;
}

static int
fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return 1;
}

static int
confine(struct err *err)
{
	const struct rlimit cpu = { CPU_LIMIT_S, CPU_LIMIT_S };
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CPU, &cpu) == -1 || setrlimit(RLIMIT_CORE, &none) == -1)
		return err_sys(err, "limits: set");
	return sandbox_compile_apply(err);
}

static int
print(const struct bpf_program *program)
{
	printf("%u\n", program->bf_len);
	for (unsigned i = 0; i < program->bf_len; i++)
		printf("%u %u %u %u\n", program->bf_insns[i].code, program->bf_insns[i].jt,
		    program->bf_insns[i].jf, program->bf_insns[i].k);
	return fflush(stdout) == 0 ? 0 : fail("instructions: write failed");
}

static int
compile(const struct pcap_library *lib, const char *link_type, const char *text)
{
	pcap_t *pcap = lib->open_dead(dlt_of(link_type), SNAPLEN);
	struct bpf_program program;
	int ret;

	if (pcap == NULL)
		return fail("libpcap: out of memory");
	if (lib->compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) != 0) {
		ret = fail(lib->geterr(pcap));
	} else {
		ret = print(&program);
		lib->freecode(&program);
	}
	lib->close(pcap);
	return ret;
}

bool
compile_role_is_asked(int argc, char *const argv[])
{
	return argc >= 2 && strcmp(argv[1], "--compile") == 0;
}

int
compile_role_main(int argc, char *const argv[])
{
	struct pcap_library lib;
	char text[TEXT_LEN];
	struct err err;

	if (argc != 3)
		return fail("usage: capagent-net --compile LINKTYPE <FILTER");
	if (confine(&err) != E_OK)
		return fail(err.what);
	if (!load_library(&lib))
		return fail("libpcap: load: not found: install libpcap0.8");
	if (!read_text(text, sizeof(text)))
		return fail("filter: read: empty, too long, or not text");
	return compile(&lib, argv[2], text);
}
