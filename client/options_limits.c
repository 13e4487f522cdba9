/*
 * options_limits - the values that bound a capture and what it may cost: when
 * it ends, how much the agent keeps, how long either side waits.
 */
#include "client/options_int.h"

#include <stdlib.h>
#include <string.h>

/* A year: more is a mistaken unit. */
#define TIME_MAX_MS	(UINT64_C(366) * 24 * 3600 * 1000)

enum { LOG_MIN = 2 << 20 };		/* what an agent gives at least */
enum { LINGER_MAX_MS = 7 * 24 * 3600 * 1000 };	/* as the agent's max-linger */

int
options_value_log_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	uint64_t bytes;

	if (options_value_bytes(text, 0, &bytes) && bytes >= LOG_MIN) {
		*ret_bytes = bytes;
		return E_OK;
	}
	return err_set(err, E_USAGE, "--log-size '%.60s': a size from 2M to 1024G is "
	    "needed: a number of bytes, or with K, M or G (or KiB, MiB, GiB)", text);
}

/* Which of two words? */
static int
pick(const char *name, const char *text, const char *no, const char *yes,
    bool *ret_is_yes, struct err *err)
{
	if (strcmp(text, no) != 0 && strcmp(text, yes) != 0)
		return err_set(err, E_USAGE, "%s '%.60s': %s or %s is needed", name,
		    text, no, yes);
	*ret_is_yes = strcmp(text, yes) == 0;
	return E_OK;
}

int
options_value_overflow(const char *text, bool *ret_drop_newest, struct err *err)
{
	return pick("--on-overflow", text, "drop-oldest", "drop-newest",
	    ret_drop_newest, err);
}

int
options_value_on_full(const char *text, bool *ret_stop, struct err *err)
{
	return pick("--on-full", text, "wait", "stop", ret_stop, err);
}

/* "1.5" to 1500 thousandths; up to three decimals. */
static bool
parse_thousandths(const char *text, const char **ret_rest, uint64_t *ret_value)
{
	uint64_t whole, part = 0, scale = 100;
	const char *p;

	if (!options_value_u64(text, &p, &whole) || whole > TIME_MAX_MS)
		return false;
	if (*p == '.') {
		const char *digits = ++p;

		for (; *p >= '0' && *p <= '9'; p++) {
			part += scale * (uint64_t)(*p - '0');
			scale /= 10;
		}
		if (p == digits)
			return false;
	}
	*ret_rest = p;
	*ret_value = whole * 1000 + part;
	return true;
}

static bool
parse_time(const char *text, uint64_t *ret_ms)
{
	static const struct { const char *suffix; uint64_t ms; } units[] = {
		{ "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 },
		{ "min", 60000 }, { "h", 3600000 },
	};
	const char *rest;
	uint64_t value;

	if (!parse_thousandths(text, &rest, &value))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (strcmp(rest, units[i].suffix) == 0) {
			*ret_ms = value * units[i].ms / 1000;
			return value == 0 || *ret_ms > 0;
		}
	return false;
}

int
options_value_time(const char *name, const char *text, uint64_t min_ms,
    uint64_t max_ms, uint64_t *ret_ms, struct err *err)
{
	uint64_t value;

	if (parse_time(text, &value) && value >= min_ms && value <= max_ms) {
		*ret_ms = value;
		return E_OK;
	}
	return err_set(err, E_USAGE, "%s '%.60s': a time from %llu ms to %llu s is "
	    "needed: seconds, or with ms, s, m or h", name, text,
	    (unsigned long long)min_ms, (unsigned long long)max_ms / 1000);
}

static int
take_packets(const char *value, struct options *o, struct err *err)
{
	const char *rest;

	if (o->count != 0)
		return err_set(err, E_USAGE, "-a packets: a number of packets is given "
		    "twice (-c is the same): give it once");
	if (options_value_u64(value, &rest, &o->count) && *rest == '\0' && o->count > 0)
		return E_OK;
	return err_set(err, E_USAGE, "-a 'packets:%.60s': a number of packets from 1 "
	    "on is needed", value);
}

/* dumpcap's kB has 1,000 bytes; a suffix means what it means elsewhere. */
static int
take_filesize(const char *value, struct options *o, struct err *err)
{
	const char *rest;
	uint64_t kb;

	if (options_value_u64(value, &rest, &kb) && *rest == '\0') {
		if (kb > 0 && kb <= UINT32_MAX) {
			o->filesize_bytes = kb * 1000;
			return E_OK;
		}
	} else if (options_value_bytes(value, 0, &o->filesize_bytes)) {
		return E_OK;
	}
	return err_set(err, E_USAGE, "-a 'filesize:%.60s': a size is needed: a number "
	    "of kB (1,000 bytes), or with K, M or G (or KiB, MiB, GiB)", value);
}

int
options_value_autostop(const char *text, struct options *o, struct err *err)
{
	static const char packets[] = "packets:", duration[] = "duration:",
	    filesize[] = "filesize:";

	if (strncmp(text, packets, strlen(packets)) == 0)
		return take_packets(text + strlen(packets), o, err);
	if (strncmp(text, filesize, strlen(filesize)) == 0)
		return take_filesize(text + strlen(filesize), o, err);
	if (strncmp(text, duration, strlen(duration)) == 0)
		return options_value_time("-a duration", text + strlen(duration), 1,
		    TIME_MAX_MS, &o->duration_ms, err);
	return err_set(err, E_USAGE, "-a '%.60s': packets:N, duration:TIME or "
	    "filesize:KB is needed", text);
}

int
options_take_limit(struct options *o, int option, const char *value, struct err *err)
{
	switch (option) {
	case 'a':
		return options_value_autostop(value, o, err);
	case OPT_LOG_SIZE:
		return options_value_log_size(value, &o->log_bytes, err);
	case OPT_OVERFLOW:
		return options_value_overflow(value, &o->drop_newest, err);
	case OPT_ON_FULL:
		return options_value_on_full(value, &o->stop_on_full, err);
	case OPT_LINGER:
		return options_value_time("--linger", value, 0, LINGER_MAX_MS,
		    &o->linger_ms, err);
	case OPT_HEARTBEAT:
		return options_value_time("--heartbeat", value, PROTO_HEARTBEAT_MIN_MS,
		    PROTO_HEARTBEAT_MAX_MS, &o->heartbeat_ms, err);
	case OPT_RECONNECT:
		return options_value_time("--reconnect", value, 0, LINGER_MAX_MS,
		    &o->reconnect_ms, err);
	case OPT_STATS_INTERVAL:
		return options_value_time("--stats-interval", value, 100, LINGER_MAX_MS,
		    &o->stats_interval_ms, err);
	}
	return E_AGAIN;
}
