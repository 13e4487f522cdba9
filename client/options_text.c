#include "client/options.h"

#include <event2/event.h>
#include <openssl/crypto.h>
#include <pcap/pcap.h>

#include "proto/limits.h"

static const char help[] =
"usage: capclient SENSOR[:PORT] -i IFACE [-i IFACE ...] [OPTION ...] -w FILE [FILTER]\n"
"       capclient SENSOR[:PORT] -i IFACE [OPTION ...] --plan|-d|-L|-J [FILTER]\n"
"       capclient -D SENSOR[:PORT]\n"
"\n"
"Captures packets on another host, where capagent runs, into a file here.\n"
"Words before the first option are the sensor, all later words the filter.\n"
"\n"
"  capclient sensor1 -i eth0 -w dns.pcapng udp port 53\n"
"  capclient sensor1 -i eth0 -f \"tcp port 443\" -w - | wireshark -k -i -\n"
"\n"
"What to capture\n"
"  -i, --interface IFACE      the sensor's interface: name, number, a pattern as\n"
"                             'veth*', or any; in another network namespace\n"
"                             netns:NAME/IFACE or pid:NUMBER/IFACE; repeatable\n"
"Each of these belongs to the -i before it, or, before the first -i, to all:\n"
"  -f, --filter FILTER        pcap-filter(7) expression, instead of words\n"
"  -s, --snapshot-length N    bytes of each packet (default 261120, 0: 262144)\n"
"  -p, --no-promiscuous-mode  do not make the interface promiscuous\n"
"  -y, --linktype NAME        as -L lists them, LINUX_SLL2 always\n"
"For the whole capture:\n"
"      --filter-file FILE     read the filter of each -i without -f from FILE\n"
"  -c, --count N              end after N packets\n"
"  -a, --autostop END         end at packets:N, duration:TIME or filesize:KB\n"
"  -Q, --direction DIR        in, out or inout (default) as the sensor sees it\n"
"      --exact-filter         judge VLAN-tagged packets as a file's reader would\n"
"      --kernel-only          refuse a filter that the sensor's kernel cannot run\n"
"      --headers-only         cut each packet behind its TCP, UDP ... header\n"
"      --sample 1/N           of the packets that match, one in N at random\n"
"      --sample-flows 1/N     of their flows, one in N, both directions alike\n"
"      --cooked               with -i any: one socket, cooked packets\n"
"  -j, --time-stamp-type TYPE host (default), adapter or adapter_unsynced\n"
"  -B, --buffer-size SIZE     the sensor's kernel buffer: a number of KiB, or with\n"
"                             K, M, G, KiB, MiB or GiB\n"
"      --log-size SIZE        what the agent keeps until it is written here\n"
"                             (default 64M)\n"
"      --on-overflow drop-oldest|drop-newest\n"
"                             what goes when that is full (default: the oldest)\n"
"\n"
"Instead of capturing\n"
"  -D, --list-interfaces      list the sensor's interfaces\n"
"  -L, --list-data-link-types, -J, --list-time-stamp-types\n"
"                             list those of each -i\n"
"      --plan                 what would be captured where, and the filter program\n"
"  -d, -dd, -ddd              the program alone: text, C, numbers\n"
"\n"
"Where to write\n"
"  -w, --write FILE           output; - is stdout\n"
"  -F, --format pcapng|pcap   default: pcapng, pcap for FILE.pcap\n"
"      --split-by-linktype    a file for each link type\n"
"      --resume               go on with FILE, where the run before ended\n"
"      --fsync                acknowledge what is on the disk, not earlier\n"
"      --on-full wait|stop    when FILE cannot be written (default: wait)\n"
"\n"
"Connection\n"
"      --server-name NAME     name to verify instead of the address's\n"
"      --cert, --key FILE     client certificate and private key\n"
"      --ca FILE              authority that issued the sensor's certificate\n"
"      --heartbeat TIME       silence that means a lost connection (default 6s)\n"
"      --linger TIME          the agent captures on for so long (default 60s)\n"
"      --reconnect TIME       the sensor is looked for so long (default: for ever)\n"
"\n"
"Messages\n"
"  -q, --quiet                no progress line (with -w - there is none)\n"
"      --json                 the sums as JSON on stderr\n"
"      --stats-interval TIME  counters every so often\n"
"  -v, --verbose              each step of the connection; twice: everything\n"
"      --log LEVEL[:TOKENS]   err, warn, info or debug\n"
"  -h, --help                 this text\n"
"      --version [--verbose]  version; with libraries and paths\n"
"\n"
"tcpdump's -n -U -e -l -t -K -O -S -# are accepted and change nothing.\n"
"Exit statuses, certificates and examples: man capclient\n";

void
options_print_help(FILE *out)
{
	fputs(help, out);
}

static const char *
sanitizers(void)
{
#ifdef CAP_SANITIZED
	return "on";
#else
	return "off";
#endif
}

void
options_print_version(FILE *out, bool verbose)
{
	fprintf(out, "capclient %s\n", CAP_VERSION);
	if (!verbose)
		return;
	fprintf(out, "protocol: %d, port %d\n", PROTO_VERSION, PROTO_PORT);
	fprintf(out, "formats: pcapng, pcap (nanoseconds)\n");
	fprintf(out, "certificates: ~/.config/capclient/client.pem, client.key, "
	    "ca.pem\n");
	fprintf(out, "libpcap: %s\n", pcap_lib_version());
	fprintf(out, "openssl: %s\n", OpenSSL_version(OPENSSL_VERSION));
	fprintf(out, "libevent: %s\n", event_get_version());
	fprintf(out, "compiler: %s\n", __VERSION__);
	fprintf(out, "sanitizers: %s\n", sanitizers());
}
