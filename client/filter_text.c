#include "client/filter.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"

/* --- the language --- */

/* libpcap's scanner, version 1.10; words of link types included. */
static const char *const keywords[] = {
	"aarp", "action", "addr1", "addr2", "addr3", "addr4", "address1", "address2",
	"address3", "address4", "ah", "and", "arp", "atalk", "bcc", "broadcast", "byte",
	"carp", "clnp", "connectmsg", "csnp", "decnet", "dir", "direction", "dpc", "dst",
	"es-is", "esis", "esp", "ether", "fddi", "fisu", "gateway", "geneve", "greater",
	"hdpc", "hfisu", "hlssu", "hmsu", "hopc", "host", "hsio", "hsls", "icmp", "icmp6",
	"ifindex", "ifname", "igmp", "igrp", "iih", "ilmic", "inbound", "ip", "ip6", "ipx",
	"is-is", "isis", "iso", "l1", "l2", "lane", "lat", "len", "length", "less", "link",
	"llc", "lsp", "lssu", "lsu", "mask", "metac", "metaconnect", "mopdl", "moprc",
	"mpls", "msu", "multicast", "net", "netbeui", "not", "oam", "oamf4", "oamf4ec",
	"oamf4sc", "on", "opc", "or", "outbound", "pim", "port", "portrange", "ppp",
	"pppoed", "pppoes", "proto", "protochain", "psnp", "ra", "radio", "rarp", "reason",
	"rnr", "rset", "rulenum", "ruleset", "sc", "sca", "sctp", "sio", "slip", "sls",
	"snp", "src", "srnr", "stp", "subrulenum", "subtype", "ta", "tcp", "tr", "type",
	"udp", "vci", "vlan", "vpi", "vrrp", "wlan",
};

/* Words that stand for a number. */
static const char *const constants[] = {
	"icmptype", "icmpcode", "icmp-echoreply", "icmp-unreach", "icmp-sourcequench",
	"icmp-redirect", "icmp-echo", "icmp-routeradvert", "icmp-routersolicit",
	"icmp-timxceed", "icmp-paramprob", "icmp-tstamp", "icmp-tstampreply", "icmp-ireq",
	"icmp-ireqreply", "icmp-maskreq", "icmp-maskreply", "icmp6type", "icmp6code",
	"icmp6-destinationunreach", "icmp6-packettoobig", "icmp6-timeexceeded",
	"icmp6-parameterproblem", "icmp6-echo", "icmp6-echoreply",
	"icmp6-multicastlistenerquery", "icmp6-multicastlistenerreportv1",
	"icmp6-multicastlistenerdone", "icmp6-routersolicit", "icmp6-routeradvert",
	"icmp6-neighborsolicit", "icmp6-neighboradvert", "icmp6-redirect",
	"icmp6-routerrenum", "icmp6-nodeinformationquery", "icmp6-nodeinformationresponse",
	"icmp6-ineighbordiscoverysolicit", "icmp6-ineighbordiscoveryadvert",
	"icmp6-multicastlistenerreportv2", "icmp6-homeagentdiscoveryrequest",
	"icmp6-homeagentdiscoveryreply", "icmp6-mobileprefixsolicit",
	"icmp6-mobileprefixadvert", "icmp6-certpathsolicit", "icmp6-certpathadvert",
	"icmp6-multicastrouteradvert", "icmp6-multicastroutersolicit",
	"icmp6-multicastrouterterm", "tcpflags", "tcp-fin", "tcp-syn", "tcp-rst",
	"tcp-push", "tcp-ack", "tcp-urg", "tcp-ece", "tcp-cwr",
};

static bool
is_in(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

bool
filter_is_keyword(const char *word)
{
	return is_in(keywords, ARRAY_LEN(keywords), word) ||
	    is_in(constants, ARRAY_LEN(constants), word);
}

/* --- does it speak of tags? --- */

enum { WORD_LEN = 64 };

static bool
is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/*
 * The next word at or after *at, which moves behind it; false at the end.  An
 * escaped word (\vlan) is a name and comes out with its backslash.  What is
 * longer than any keyword comes out cut.
 */
static bool
next_word(const char **at, char word[static WORD_LEN])
{
	const char *p = *at;
	size_t len = 0;

	while (*p != '\0' && *p != '\\' && !isalnum((unsigned char)*p))
		p++;
	if (*p == '\0')
		return false;
	do {
		if (len < WORD_LEN - 1)
			word[len++] = *p;
		p++;
	} while (is_word_char(*p));
	word[len] = '\0';
	*at = p;
	return true;
}

static const char *
skip_blanks(const char *p)
{
	while (isspace((unsigned char)*p))
		p++;
	return p;
}

/* All of libpcap's words for the link layer mean the same. */
static bool
is_link_word(const char *word)
{
	static const char *const words[] = {
		"ether", "link", "ppp", "slip", "fddi", "tr", "wlan",
	};

	return is_in(words, ARRAY_LEN(words), word);
}

/* The types of tags: 802.1Q, 802.1ad, and what was used before that. */
static bool
is_tag_type(const char *word)
{
	char *end;
	unsigned long type = strtoul(word, &end, 0);

	return *end == '\0' && (type == 0x8100 || type == 0x88a8 || type == 0x9100);
}

/* p is behind the '[' of an access to the link layer: does it reach a tag? */
static bool
is_tag_access(const char *p)
{
	enum { TAG_AT = 12 };
	unsigned long offset, size = 1;
	char *end;

	p = skip_blanks(p);
	/* A negative offset is none in the packet, but the kernel's metadata. */
	if (*p == '-' && isdigit((unsigned char)p[1])) {
		(void)strtoul(p + 1, &end, 0);
		return *skip_blanks(end) != ']' && *skip_blanks(end) != ':';
	}
	if (!isdigit((unsigned char)*p))
		return true;
	offset = strtoul(p, &end, 0);
	p = skip_blanks(end);
	if (*p == ':') {
		size = strtoul(skip_blanks(p + 1), &end, 0);
		p = skip_blanks(end);
	}
	if (*p != ']')
		return true;
	return offset < 0x80000000 && offset + size > TAG_AT;
}

/* The list goes on over "or", "and" and "not": ether proto 0x800 or 0x8100. */
static bool
ends_list(const char *word)
{
	return filter_is_keyword(word) && strcmp(word, "or") != 0 &&
	    strcmp(word, "and") != 0 && strcmp(word, "not") != 0;
}

bool
filter_mentions_tags(const char *text)
{
	bool is_link = false;		/* the word before was "ether" */
	bool is_type_list = false;	/* behind "ether proto" */
	char word[WORD_LEN];

	while (next_word(&text, word)) {
		const char *next = skip_blanks(text);

		if (strcmp(word, "vlan") == 0)
			return true;
		if (is_link_word(word) && *next == '[' && is_tag_access(next + 1))
			return true;
		if (is_link && strcmp(word, "proto") == 0)
			is_type_list = true;
		else if (ends_list(word))
			is_type_list = false;
		else if (is_type_list && is_tag_type(word))
			return true;
		is_link = is_link_word(word);
	}
	return false;
}

/* --- words and files --- */

int
filter_join(const char *const words[], size_t n, char **ret_text, struct err *err)
{
	size_t size = 1;
	char *text, *p;

	for (size_t i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	if (size > PROTO_MAX_FILTER_TEXT)
		return err_set(err, E_USAGE, "filter: longer than %d bytes",
		    PROTO_MAX_FILTER_TEXT);
	text = p = malloc(size);
	if (text == NULL)
		return err_set(err, E_NOMEM, "filter: out of memory");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ' ';
		p = stpcpy(p, words[i]);
	}
	*p = '\0';
	*ret_text = text;
	return E_OK;
}


static int
fail_file(const char *path, const char *action, const char *cause, struct err *err)
{
	return err_set(err, E_USAGE, "filter file '%.120s': %s: %s", path, action, cause);
}

/* Read at most size bytes; how many, or -1. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t got = read(fd, buf + len, size - len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

/* One line, without comments, one blank between words. */
static void
join_lines(char *text)
{
	bool is_comment = false, wants_blank = false;
	char *to = text;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n')
			is_comment = false;
		else if (*p == '#')
			is_comment = true;
		if (is_comment || isspace((unsigned char)*p)) {
			wants_blank = to != text;
			continue;
		}
		if (wants_blank)
			*to++ = ' ';
		wants_blank = false;
		*to++ = *p;
	}
	*to = '\0';
}

int
filter_read_file(const char *path, char **ret_text, struct err *err)
{
	int code, fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t len;

	if (fd < 0)
		return fail_file(path, "open", strerror(errno), err);
	text = malloc(PROTO_MAX_FILTER_TEXT + 1);
	if (text == NULL) {
		code = err_set(err, E_NOMEM, "filter file '%.120s': out of memory", path);
		goto out_fd;
	}
	len = read_all(fd, text, PROTO_MAX_FILTER_TEXT + 1);
	if (len < 0) {
		code = fail_file(path, "read", strerror(errno), err);
		goto out_text;
	}
	if (len > PROTO_MAX_FILTER_TEXT) {
		code = fail_file(path, "read", "more than 65536 bytes", err);
		goto out_text;
	}
	text[len] = '\0';
	if (strlen(text) != (size_t)len) {
		code = fail_file(path, "read", "not a text: holds a NUL", err);
		goto out_text;
	}
	join_lines(text);
	close(fd);
	*ret_text = text;
	return E_OK;
out_text:
	free(text);
out_fd:
	close(fd);
	return code;
}
