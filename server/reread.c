#include "server/reread_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/fdpass.h"

struct reread {
	int		 fd;
	pid_t		 pid;		/* -1: reaped */
	struct reread_shared *shared;
	unsigned	 n_files;
	int		 files[REREAD_FILES];
};

static void
close_files(struct reread *reread)
{
	while (reread->n_files > 0)
		close(reread->files[--reread->n_files]);
}

void
reread_free(struct reread *reread)
{
	if (reread == NULL)
		return;
	close_files(reread);
	if (reread->fd != -1)
		close(reread->fd);
	if (reread->shared != MAP_FAILED)
		munmap(reread->shared, sizeof(*reread->shared));
	free(reread);
}

/* Its first answer, without a file: it has given up what it does not need. */
static int
wait_confined(int fd, struct err *err)
{
	struct reread_answer answer;
	size_t len;
	int file = -1, ret;

	ret = fdpass_recv(fd, &answer, sizeof(answer), &len, &file, err);
	if (ret == E_EOF)
		return err_set(err, E_PEERGONE, "reading process: start: it has ended");
	if (ret == E_OK && answer.code != E_OK)
		ret = err_set(err, answer.code, "reading process: start: %s", answer.text);
	return ret;
}

static int
fork_role(const struct reread_job *job, struct reread *reread, struct err *err)
{
	pid_t parent = getpid(), pid;
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
		return err_sys(err, "reading process: socketpair");
	reread->fd = pair[0];
	pid = fork();
	if (pid == 0)
		reread_role(job, pair[1], reread->shared, parent);
	close(pair[1]);
	if (pid == -1)
		return err_sys(err, "reading process: fork");
	reread->pid = pid;
	ret = wait_confined(reread->fd, err);
	if (ret != E_OK)
		return ret;
	if (fcntl(reread->fd, F_SETFL, O_NONBLOCK) == -1)
		return err_sys(err, "reading process: make non-blocking");
	return E_OK;
}

int
reread_start(const struct reread_job *job, struct reread **ret_reread, struct err *err)
{
	struct reread *reread = calloc(1, sizeof(*reread));
	int ret;

	if (reread == NULL)
		return err_set(err, E_NOMEM, "reading process: start: out of memory");
	reread->fd = reread->pid = -1;
	reread->shared = mmap(NULL, sizeof(*reread->shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ret = reread->shared == MAP_FAILED ? err_sys(err, "reading process: map memory") :
	    fork_role(job, reread, err);
	if (ret != E_OK) {
		reread_free(reread);
		return ret;
	}
	*ret_reread = reread;
	return E_OK;
}

bool
reread_has_ended(struct reread *reread)
{
	if (reread->pid == -1 || waitpid(reread->pid, NULL, WNOHANG) != reread->pid)
		return false;
	reread->pid = -1;
	return true;
}

int
reread_fd(const struct reread *reread)
{
	return reread->fd;
}

static int
is_gone(struct err *err)
{
	return err_set(err, E_PEERGONE, "the process that reads files has ended: "
	    "restart the agent");
}

int
reread_ask(struct reread *reread, struct err *err)
{
	char ask = 0;
	int ret = fdpass_send(reread->fd, &ask, sizeof(ask), -1, err);

	close_files(reread);
	return ret == E_PEERGONE ? is_gone(err) : ret;
}

/* One message; E_AGAIN until the last file is there. */
static int
take_one(struct reread *reread, struct err *err)
{
	struct reread_answer answer;
	size_t len;
	int fd = -1, ret;

	ret = fdpass_recv(reread->fd, &answer, sizeof(answer), &len, &fd, err);
	if (ret == E_EOF)
		return is_gone(err);
	if (ret != E_OK)
		return ret;
	answer.text[sizeof(answer.text) - 1] = '\0';
	if (fd != -1) {
		reread->files[reread->n_files++] = fd;
		return reread->n_files == REREAD_FILES ? E_OK : E_AGAIN;
	}
	if (answer.code == E_OK)
		return err_set(err, E_BUG, "reading process: neither a file nor a reason");
	err_set(err, answer.code, "%s", answer.text);
	if (err != NULL)
		err->sys = answer.sys;
	return answer.code;
}

int
reread_take(struct reread *reread, struct reread_found *ret_found, struct err *err)
{
	unsigned before;
	int ret;

	do {
		before = reread->n_files;
		ret = take_one(reread, err);
	} while (ret == E_AGAIN && reread->n_files > before);
	if (ret != E_OK) {
		if (ret != E_AGAIN)
			close_files(reread);
		return ret;
	}
	*ret_found = (struct reread_found){
		.policy = &reread->shared->policy,
		.mandatory = &reread->shared->mandatory,
		.credentials = { reread->files[0], reread->files[1], reread->files[2] },
	};
	reread->n_files = 0;
	return E_OK;
}
