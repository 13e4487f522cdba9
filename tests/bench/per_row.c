/*
 * per_row - what tests/bench/sql compares bpf_filter with: an SQLite function
 * in C that compiles, runs and frees its expression at each row.
 *
 * per_row(expression, src, dst, sport, dport, transport), IPv4 with TCP or UDP
 * only, and do_nothing(), which takes the same arguments.  Not part
 * of the product.
 */
#include <arpa/inet.h>
#include <pcap/pcap.h>
#include <sqlite3ext.h>
#include <stdint.h>
#include <string.h>

SQLITE_EXTENSION_INIT1

enum { PACKET_LEN = 40, DLT_RAW_IP = 12 };

static void
fill_packet(sqlite3_value **argv, uint8_t packet[static PACKET_LEN])
{
	const char *transport = (const char *)sqlite3_value_text(argv[5]);
	uint16_t sport = htons((uint16_t)sqlite3_value_int(argv[3]));
	uint16_t dport = htons((uint16_t)sqlite3_value_int(argv[4]));

	memset(packet, 0, PACKET_LEN);
	packet[0] = 0x45;
	packet[3] = PACKET_LEN;
	packet[9] = transport != NULL && strcmp(transport, "udp") == 0 ? 17 : 6;
	inet_pton(AF_INET, (const char *)sqlite3_value_text(argv[1]), packet + 12);
	inet_pton(AF_INET, (const char *)sqlite3_value_text(argv[2]), packet + 16);
	memcpy(packet + 20, &sport, sizeof(sport));
	memcpy(packet + 22, &dport, sizeof(dport));
}

static void
per_row(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	const struct pcap_pkthdr header = { .caplen = PACKET_LEN, .len = PACKET_LEN };
	struct bpf_program program;
	uint8_t packet[PACKET_LEN];
	pcap_t *pcap = sqlite3_user_data(context);

	(void)argc;
	fill_packet(argv, packet);
	if (pcap_compile(pcap, &program, (const char *)sqlite3_value_text(argv[0]), 1,
	    PCAP_NETMASK_UNKNOWN) != 0) {
		sqlite3_result_error(context, pcap_geterr(pcap), -1);
		return;
	}
	sqlite3_result_int(context, pcap_offline_filter(&program, &header, packet) != 0);
	pcap_freecode(&program);
}

static void
do_nothing(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	(void)argc;
	(void)argv;
	sqlite3_result_int(context, 0);
}

static void
close_pcap(void *pcap)
{
	pcap_close(pcap);
}

int sqlite3_perrow_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int
sqlite3_perrow_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
	SQLITE_EXTENSION_INIT2(api);
	(void)error;
	if (sqlite3_create_function(db, "do_nothing", 6, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
	    NULL, do_nothing, NULL, NULL) != SQLITE_OK)
		return SQLITE_ERROR;
	return sqlite3_create_function_v2(db, "per_row", 6,
	    SQLITE_UTF8 | SQLITE_DETERMINISTIC, pcap_open_dead(DLT_RAW_IP, 65535),
	    per_row, NULL, NULL, close_pcap);
}
