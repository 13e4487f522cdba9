/*
 * policy_file - the configuration file, line by line.
 */
#include "server/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/policy_int.h"

/* What inih skips at both ends of a line. */
static const char blanks[] = " \t\n\v\f\r";

/* One file being read. */
struct reading {
	FILE		*file;
	struct policy	*policy;
	unsigned	 line;
	unsigned	 seen;		/* bit i: key number i was set */
	unsigned	 bad_line;	/* first wrong line, 0 for none */
	struct err	 err;
};

/*
 * What inih would take otherwise than it is meant: the rest of a line that is
 * longer than its buffer as a line of its own, a line with a blank in front
 * as more of the value before, and what stands behind a section's name as
 * nothing at all.
 */
static int
check_line(const char *line, bool is_whole, int max_len, struct err *err)
{
	size_t n_blanks = strspn(line, blanks);
	const char *rest;

	/* strchr() finds the NUL, too: nothing but blanks is fine. */
	if (!is_whole)
		return err_set(err, E_CONFIG, "line longer than %d characters: shorten it "
		    "(interfaces may be given several times)", max_len);
	if (n_blanks > 0 && strchr("#;", line[n_blanks]) == NULL)
		return err_set(err, E_CONFIG, "begins with a blank, which would continue "
		    "the line before: remove the blank");
	rest = line[0] == '[' ? strchr(line, ']') : NULL;
	if (rest != NULL && strchr("#;", rest[1 + strspn(rest + 1, blanks)]) == NULL)
		return err_set(err, E_CONFIG, "behind a section's name: '%.40s': put it on "
		    "a line of its own", rest + 1);
	return E_OK;
}

static char *
read_line(char *dst, int size, void *arg)
{
	struct reading *r = arg;
	char *line = fgets(dst, size, r->file);
	bool is_whole;

	if (line == NULL)
		return NULL;
	r->line++;
	is_whole = strchr(line, '\n') != NULL || feof(r->file);
	if (r->bad_line == 0 && check_line(line, is_whole, size - 2, &r->err) != E_OK)
		r->bad_line = r->line;
	return line;
}

/* '#' begins a comment only at the start of a line. */
static bool
holds_comment(const char *value)
{
	for (const char *at = strchr(value, '#'); at != NULL; at = strchr(at + 1, '#'))
		if (at == value || strchr(blanks, at[-1]) != NULL)
			return true;
	return false;
}

static int
take_pair(struct reading *r, const char *section, const char *name, const char *value,
    struct err *err)
{
	unsigned number = 0, bit;
	const struct policy_key *key = policy_key_find(name, &number);

	if (section[0] != '\0' && strcmp(section, "capagent") != 0)
		return err_set(err, E_CONFIG, "unknown section '%s': only [capagent] is known",
		    section);
	if (key == NULL)
		return err_set(err, E_CONFIG, "unknown key '%s'", name);
	if (holds_comment(value))
		return err_set(err, E_CONFIG, "%s: '#' behind a value: comments stand on lines "
		    "of their own", name);
	bit = 1U << number;
	if ((r->seen & bit) != 0 && key->repeats == POLICY_KEY_ONCE)
		return err_set(err, E_CONFIG, "%s: given twice", name);
	r->seen |= bit;
	if (strcmp(name, "mandatory-filter") == 0)
		r->policy->mandatory_line = r->line;
	return policy_set(r->policy, name, value, err);
}

static int
handle_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	if (r->bad_line == 0 && take_pair(r, section, name, value, &r->err) != E_OK)
		r->bad_line = r->line;
	return 1;
}

/* Whoever can write the file decides who may capture what. */
static int
check_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return err_sys(err, "configuration '%s': examine", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, E_CONFIG, "configuration '%s': read: not a file", path);
	if (st.st_uid != 0 && st.st_uid != getuid())
		return err_set(err, E_CONFIG, "configuration '%s': read: "
		    "belongs to uid %u: chown root it", path, st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return err_set(err, E_CONFIG, "configuration '%s': read: "
		    "others can write it (mode %04o): chmod go-w it", path,
		    st.st_mode & 07777);
	return E_OK;
}

static int
parse_file(struct policy *policy, FILE *file, const char *path, struct err *err)
{
	struct reading r = { .file = file, .policy = policy };
	int syntax_line = ini_parse_stream(read_line, &r, handle_pair, &r);

	if (ferror(file))
		return err_sys(err, "configuration '%s': read", path);
	if (syntax_line > 0 && (r.bad_line == 0 || (unsigned)syntax_line < r.bad_line))
		return err_set(err, E_CONFIG, "%s:%d: neither key = value, "
		    "[capagent] nor a comment", path, syntax_line);
	if (r.bad_line != 0)
		return err_set(err, E_CONFIG, "%s:%u: %s", path, r.bad_line, r.err.what);
	return E_OK;
}

bool
policy_file_exists(const char *path)
{
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

int
policy_load(struct policy *policy, const char *path, struct err *err)
{
	FILE *file;
	int fd, ret;

	/* Non-blocking, lest a FIFO in the file's place hold up the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1) {
		err_sys(err, "configuration '%s': open", path);
		if (err != NULL)
			err->code = E_CONFIG;
		return E_CONFIG;
	}
	ret = check_owner(fd, path, err);
	if (ret != E_OK) {
		close(fd);
		return ret;
	}
	file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return err_set(err, E_NOMEM, "configuration '%s': read: out of memory", path);
	}
	ret = parse_file(policy, file, path, err);
	fclose(file);
	if (ret == E_OK) {
		policy->has_file = true;
		snprintf(policy->file, sizeof(policy->file), "%s", path);
	}
	return ret;
}
