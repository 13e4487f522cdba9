#include "client/options_int.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

enum { MAX_LONGS = 8 };

static const char reads[] = "capclient only captures: read the file with "
    "tcpdump -r, or use -w - | tcpdump -nr - -X";
static const char rotates[] = "no rotation yet: use -w - | dumpcap -i - "
    "-b filesize:100000 -w FILE";
static const char later[] = "not yet: leave it out";
static const char nanoseconds[] =
    "times are always in nanoseconds: leave it out";

/* With their meaning in tcpdump; -b also in dumpcap. */
static const struct {
	const char	*letters;
	const char	*longs[MAX_LONGS];
	const char	*hint;
} foreign[] = {
	{ "AXxrV", { "--print" }, reads },
	{ "CGWzb", { "--ring-buffer" }, rotates },
	{ "I", { "--monitor-mode" }, later },
	{ "", { "--micro" }, nanoseconds },
};

static int
refuse_letter(char letter, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (strchr(foreign[i].letters, letter) != NULL)
			return err_set(err, E_USAGE, "-%c: %s", letter,
			    foreign[i].hint);
	return err_set(err, E_USAGE,
	    "-%c: no such option: see capclient --help", letter);
}

static int
refuse_long(const char *word, struct err *err)
{
	int len = (int)strcspn(word, "=");

	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		const char *const *longs = foreign[i].longs;

		for (size_t j = 0; j < MAX_LONGS && longs[j] != NULL; j++)
			if (strncmp(longs[j], word, (size_t)len) == 0 &&
			    longs[j][len] == '\0')
				return err_set(err, E_USAGE, "%s: %s", longs[j],
				    foreign[i].hint);
	}
	return err_set(err, E_USAGE, "%.60s: no such option (or a shortened one "
	    "that fits several): see capclient --help", word);
}

int
options_refuse(int result, const char *word, const char *letters,
    struct err *err)
{
	char letter[3] = { '-', (char)optopt, '\0' };

	if (result == ':')
		return err_set(err, E_USAGE,
		    "%.60s: its value is missing: see capclient --help",
		    strncmp(word, "--", 2) == 0 ? word : letter);
	if (optopt == 0)
		return refuse_long(word, err);
	/* A letter of ours, or a number above them, is what a long option means. */
	if (optopt > UCHAR_MAX || (optopt > 0 && isalnum(optopt) &&
	    strchr(letters, optopt) != NULL))
		return err_set(err, E_USAGE,
		    "%.60s: takes no value: see capclient --help", word);
	/* Inside a bundle of letters, word is the argument before it. */
	return refuse_letter(letter[1], err);
}

int
options_value_precision(const char *text, struct err *err)
{
	if (strcmp(text, "nano") == 0)
		return E_OK;
	return err_set(err, E_USAGE, "--time-stamp-precision '%.60s': %s", text,
	    nanoseconds);
}
