#include "server/about.h"

#include <seccomp.h>

#include "server/drop.h"
#include "server/sandbox.h"

static const char help[] =
"usage: capagent [OPTION ...]\n"
"\n"
"Captures packets on this host for capclient, over mutual TLS.\n"
"\n"
"      --listen ADDR[:PORT]  address to listen on, may be repeated\n"
"                            (default 0.0.0.0:9443 and [::]:9443)\n"
"      --cert FILE           certificate (default /etc/capagent/agent.pem)\n"
"      --key FILE            its private key (default /etc/capagent/agent.key)\n"
"      --ca FILE             CA of the clients (default /etc/capagent/ca.pem)\n"
"      --user NAME           user of the network process (default capagent,\n"
"                            else nobody)\n"
"      --config FILE         configuration (default /etc/capagent/capagent.conf,\n"
"                            if there is one)\n"
"      --log LEVEL[:TOKENS]  err, warn, info or debug\n"
"      --ready-fd N          write a line to descriptor N when clients can come\n"
"      --foreground          accepted: capagent never goes into the background\n"
"      --sandbox MODE        enforce, log or off, for developers\n"
"  -n, --check               check everything, say what would be, and exit\n"
"  -h, --help                this text\n"
"      --version [--verbose] version; with libraries, paths and build\n"
"\n"
"More: man 8 capagent, man 5 capagent.conf\n";

void
about_print_help(FILE *out)
{
	fputs(help, out);
}

void
about_print_version(FILE *out, bool is_verbose)
{
	const struct scmp_version *seccomp = seccomp_version();
	struct drop_user user;
	struct policy policy;
	struct err err;

	fprintf(out, "capagent %s\n", CAP_VERSION);
	if (!is_verbose)
		return;
	policy_init(&policy);
	fprintf(out, "commit: %s\n", CAP_COMMIT);
	fprintf(out, "boundary: %016llx\n", (unsigned long long)priv_build_id());
	fprintf(out, "features: tpacket_v3, fanout, seccomp, mandatory-filter\n");
	fprintf(out, "sandbox: %s\n", sandbox_mode_name(sandbox_mode_default()));
	if (drop_find_user("", &user, &err) == E_OK)
		fprintf(out, "user: %s (%u)\n", user.name, user.uid);
	else
		fprintf(out, "user: none: %s\n", err.what);
	fprintf(out, "configuration: %s\n", POLICY_FILE);
	fprintf(out, "certificates: %s, %s, %s\n", policy.cert, policy.key, policy.ca);
	fprintf(out, "capagent-net: beside capagent, or in %s from there\n",
	    CAP_LIBEXEC_FROM_SBIN);
	fprintf(out, "libseccomp: %u.%u.%u\n", seccomp->major, seccomp->minor, seccomp->micro);
	fprintf(out, "compiler: %s\n", __VERSION__);
	fprintf(out, "build type: %s\n", CAP_BUILD_TYPE);
	fprintf(out, "sanitizers: %s\n", CAP_SANITIZERS[0] != '\0' ? CAP_SANITIZERS : "off");
}

/* In the largest unit that keeps the number whole. */
static void
print_bytes(FILE *out, const char *key, uint64_t bytes)
{
	if (bytes % (1 << 20) == 0)
		fprintf(out, "%s: %llu MiB\n", key, (unsigned long long)(bytes >> 20));
	else
		fprintf(out, "%s: %llu bytes\n", key, (unsigned long long)bytes);
}

void
about_print_policy(FILE *out, const struct policy *policy, const char *user)
{
	bool has_mandatory = policy->mandatory_filter[0] != '\0';
	char address[PRIV_ADDRESS_LEN];

	fprintf(out, "configuration: %s\n", policy->has_file ? policy->file :
	    "none: everything is permitted");
	for (unsigned i = 0; i < policy->n_listen; i++) {
		listen_address_format(&policy->listen[i], address, sizeof(address));
		fprintf(out, "listen: %s\n", address);
	}
	fprintf(out, "cert: %s\nkey: %s\nca: %s\n", policy->cert, policy->key, policy->ca);
	fprintf(out, "user: %s\n", user);
	fprintf(out, "interfaces: %s\n", policy->interfaces);
	fprintf(out, "promiscuous: %s\n", policy->promiscuous ? "yes" : "no");
	fprintf(out, "namespaces: %s%s\n", policy->namespaces == 0 ? "none" :
	    policy->namespace_names,
	    (policy->namespaces & PRIV_NAMESPACES_PID) != 0 ? " pid" : "");
	fprintf(out, "hardware-timestamps: %s\n", policy->hardware_timestamps ? "yes" : "no");
	fprintf(out, "max-snaplen: %u\n", policy->max_snaplen);
	fprintf(out, "mandatory-filter: %s\n", has_mandatory ? policy->mandatory_filter : "none");
	print_bytes(out, "ring-memory", policy->ring_memory);
	print_bytes(out, "log-memory", policy->log_memory);
	fprintf(out, "max-captures: %u\n", policy->max_captures);
	fprintf(out, "max-interfaces: %u\n", policy->max_interfaces);
	fprintf(out, "max-linger: %u s\n", policy->max_linger_s);
	fprintf(out, "mark: 0x%x\n", policy->mark);
	fprintf(out, "everything is in order\n");
}
