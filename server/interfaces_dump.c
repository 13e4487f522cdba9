#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "server/interfaces_int.h"

enum { ANSWER_MAX = 64 << 10 };	/* the kernel fills at most 32 KiB at a time */

static const char subject[] = "interface list";

static int
send_request(int fd, uint16_t type, uint32_t seq, struct err *err)
{
	struct {
		struct nlmsghdr hdr;
		struct ifinfomsg body;	/* GETADDR's is shorter: its start */
		struct rtattr attr;
		uint32_t mask;
	} request = {
		.hdr = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = seq,
		},
		.body.ifi_family = AF_UNSPEC,
		.attr = {
			.rta_len = RTA_LENGTH(sizeof(uint32_t)),
			.rta_type = IFLA_EXT_MASK,
		},
		.mask = RTEXT_FILTER_SKIP_STATS,
	};

	if (type == RTM_GETADDR)
		request.hdr.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg));
	if (send(fd, &request, request.hdr.nlmsg_len, 0) == -1)
		return err_sys(err, "%s: ask the kernel", subject);
	return E_OK;
}

/* One dump, as far as it has come. */
struct dump {
	uint32_t	 seq;
	bool		 is_done;
	bool		 is_changed;	/* and so perhaps inconsistent */
	interfaces_dump_fn fn;
	void		*arg;
};

static int
take_end(const uint8_t *p, size_t len, struct err *err)
{
	int32_t error = 0;

	if (len >= sizeof(error))
		memcpy(&error, p, sizeof(error));
	if (error == 0)
		return E_OK;
	errno = -error;
	return err_sys(err, "%s: the kernel refuses", subject);
}

static int
take_message(struct dump *dump, const struct nlmsghdr *h, const uint8_t *p,
    size_t len, struct err *err)
{
	int code;

	if (h->nlmsg_seq != dump->seq)
		return E_OK;		/* not an answer to us */
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		dump->is_changed = true;
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
		dump->is_done = true;
		return take_end(p, len, err);
	}
	if (h->nlmsg_type < NLMSG_MIN_TYPE)
		return E_OK;
	code = dump->fn(dump->arg, p, len);
	if (code != E_OK)
		return err_set(err, code, "%s: %s", subject, err_text(code));
	return E_OK;
}

static int
take_answer(struct dump *dump, const uint8_t *buf, size_t len, struct err *err)
{
	struct nlmsghdr h;
	size_t at = 0, step;
	int code;

	while (!dump->is_done && len - at >= sizeof(h)) {
		memcpy(&h, buf + at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at)
			return err_set(err, E_BADMSG,
			    "%s: the kernel's answer is cut off", subject);
		code = take_message(dump, &h, buf + at + sizeof(h),
		    h.nlmsg_len - sizeof(h), err);
		if (code != E_OK)
			return code;
		step = (h.nlmsg_len + NLMSG_ALIGNTO - 1) & ~(NLMSG_ALIGNTO - 1);
		at += step < len - at ? step : len - at;
	}
	return E_OK;
}

static int
read_answers(int fd, struct dump *dump, uint8_t *buf, struct err *err)
{
	ssize_t len;
	int code = E_OK;

	while (code == E_OK && !dump->is_done) {
		len = recv(fd, buf, ANSWER_MAX, MSG_TRUNC);
		if (len == -1 && errno == EINTR)
			continue;
		if (len == -1 && errno == ENOBUFS)
			return err_set(err, E_AGAIN,
			    "%s: the kernel's answer was lost", subject);
		if (len == -1)
			return err_sys(err, "%s: read the kernel's answer",
			    subject);
		if (len == 0 || len > ANSWER_MAX)
			return err_set(err, E_BADMSG,
			    "%s: the kernel's answer is cut off", subject);
		code = take_answer(dump, buf, (size_t)len, err);
	}
	return code;
}

int
interfaces_dump(uint16_t request, interfaces_dump_fn fn, void *arg,
    struct err *err)
{
	struct dump dump = { .seq = 1, .fn = fn, .arg = arg };
	uint8_t *buf;
	int code, fd;

	buf = malloc(ANSWER_MAX);
	if (buf == NULL)
		return err_set(err, E_NOMEM, "%s: out of memory", subject);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd == -1) {
		code = err_sys(err, "%s: open a netlink socket", subject);
		goto out_buf;
	}
	code = send_request(fd, request, dump.seq, err);
	if (code == E_OK)
		code = read_answers(fd, &dump, buf, err);
	if (code == E_OK && dump.is_changed)
		code = err_set(err, E_AGAIN, "%s: changes all the time", subject);
	close(fd);
out_buf:
	free(buf);
	return code;
}
