#include "server/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
fdpass_send(int sock, const void *buf, size_t len, int fd, struct err *err)
{
	union {
		struct cmsghdr	 align;
		char		 bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t sent;

	/* sendmsg() only reads; iov_base merely lacks the const. */
	memcpy(&iov.iov_base, &buf, sizeof(buf));
	if (fd != -1) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do {
		/* The sandbox of capagent-net has no sendmsg(). */
		sent = fd != -1 ? sendmsg(sock, &msg, MSG_NOSIGNAL) :
		    send(sock, buf, len, MSG_NOSIGNAL);
	} while (sent == -1 && errno == EINTR);
	if (sent == -1 && errno == EAGAIN)
		return err_set(err, E_AGAIN, "boundary: send: no room");
	if (sent == -1 && (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED))
		return err_set(err, E_PEERGONE, "boundary: send: the other process is gone");
	if (sent == -1)
		return err_sys(err, "boundary: send");
	return E_OK;
}

/*
 * Collect the descriptors of a message: the first in *ret_fd, all others
 * closed.  Returns how many there were.
 */
static unsigned
take_fds(struct msghdr *msg, int *ret_fd)
{
	unsigned n = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (n++ == 0)
				*ret_fd = fd;
			else
				close(fd);
		}
	}
	return n;
}

int
fdpass_recv(int sock, void *buf, size_t size, size_t *ret_len, int *ret_fd,
    struct err *err)
{
	/* Alignment makes room for two: the kernel may deliver both. */
	union {
		struct cmsghdr	 align;
		char		 bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len;
	unsigned n_fds;
	int fd = -1;

	do {
		len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (len == -1 && errno == EINTR);
	if (len == -1 && errno == EAGAIN)
		return err_set(err, E_AGAIN, "boundary: receive: nothing there");
	if (len == -1 && errno == ECONNRESET)
		return err_set(err, E_EOF, "boundary: the other process is gone");
	if (len == -1)
		return err_sys(err, "boundary: receive");

	n_fds = take_fds(&msg, &fd);
	if (n_fds > 1 || (msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) {
		if (fd != -1)
			close(fd);
		return err_set(err, E_BADMSG, "boundary: receive: %s",
		    (msg.msg_flags & MSG_TRUNC) != 0 ? "message too long" :
		    "more than one descriptor");
	}
	if (len == 0) {
		if (fd != -1)
			close(fd);
		return err_set(err, E_EOF, "boundary: the other process is gone");
	}
	*ret_len = (size_t)len;
	*ret_fd = fd;
	return E_OK;
}
