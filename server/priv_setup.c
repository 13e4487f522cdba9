#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/fdpass.h"
#include "server/priv_call.h"

void
priv_setup_init(struct priv_setup *setup)
{
	memset(setup, 0, sizeof(*setup));
	setup->cert_fd = setup->key_fd = setup->ca_fd = -1;
}

void
priv_setup_close(struct priv_setup *setup)
{
	int *fds[] = { &setup->cert_fd, &setup->key_fd, &setup->ca_fd };

	for (unsigned i = 0; i < setup->n_listeners; i++) {
		if (setup->listeners[i].fd != -1)
			close(setup->listeners[i].fd);
		setup->listeners[i].fd = -1;
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] != -1)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int
out_of_order(const union priv_msg *msg, struct err *err)
{
	return err_set(err, E_BADMSG, "boundary: setup: %s out of order",
	    priv_msg_name(msg->hdr.type));
}

/* A file's descriptor and name; each comes once. */
static int
take_file(const union priv_msg *msg, int *fd, int *dst_fd, char dst_name[PRIV_PATH_LEN],
    struct err *err)
{
	if (*dst_fd != -1)
		return out_of_order(msg, err);
	*dst_fd = *fd;
	*fd = -1;
	memcpy(dst_name, msg->file.name, PRIV_PATH_LEN);
	return E_OK;
}

static int
take_listener(const union priv_msg *msg, int *fd, struct priv_setup *setup, struct err *err)
{
	struct priv_setup_socket *listener;

	if (setup->n_listeners == PRIV_MAX_LISTENERS)
		return out_of_order(msg, err);
	listener = &setup->listeners[setup->n_listeners++];
	listener->fd = *fd;
	*fd = -1;
	memcpy(listener->address, msg->listener.address, PRIV_ADDRESS_LEN);
	return E_OK;
}

int
priv_setup_take(struct priv_setup *setup, const union priv_msg *msg, int *fd, struct err *err)
{
	bool has_config = setup->config.hdr.type == PRIV_SETUP_CONFIG;

	if (has_config == (msg->hdr.type == PRIV_SETUP_CONFIG))
		return out_of_order(msg, err);
	switch (msg->hdr.type) {
	case PRIV_SETUP_CONFIG:
		setup->config = msg->config;
		return E_OK;
	case PRIV_SETUP_LISTENER:
		return take_listener(msg, fd, setup, err);
	case PRIV_SETUP_CERT:
		return take_file(msg, fd, &setup->cert_fd, setup->cert_name, err);
	case PRIV_SETUP_KEY:
		return take_file(msg, fd, &setup->key_fd, setup->key_name, err);
	case PRIV_SETUP_CA:
		return take_file(msg, fd, &setup->ca_fd, setup->ca_name, err);
	case PRIV_SETUP_DONE:
		if (setup->cert_fd == -1 || setup->key_fd == -1 || setup->ca_fd == -1)
			return out_of_order(msg, err);
		return E_OK;
	default:
		return out_of_order(msg, err);
	}
}

int
priv_call_receive_setup(int fd, struct priv_setup *ret_setup, struct err *err)
{
	struct priv_setup setup;
	union priv_msg *msg = calloc(1, sizeof(*msg));
	int ret = E_OK;

	if (msg == NULL)
		return err_set(err, E_NOMEM, "boundary: setup: out of memory");
	priv_setup_init(&setup);
	do {
		size_t len;
		int got = -1;

		ret = fdpass_recv(fd, msg, sizeof(*msg), &len, &got, err);
		if (ret == E_OK)
			ret = priv_msg_check(msg, len, got != -1, err);
		if (ret == E_OK)
			ret = priv_setup_take(&setup, msg, &got, err);
		if (got != -1)
			close(got);
	} while (ret == E_OK && msg->hdr.type != PRIV_SETUP_DONE);
	free(msg);
	if (ret != E_OK) {
		priv_setup_close(&setup);
		return ret;
	}
	*ret_setup = setup;
	return E_OK;
}

int
priv_call_send_ready(int fd, struct err *err)
{
	struct priv_plain msg = { .hdr = { .build_id = priv_build_id(), .type = PRIV_READY } };

	return fdpass_send(fd, &msg, sizeof(msg), -1, err);
}

int
priv_call_send_failed(int fd, const struct err *why, struct err *err)
{
	struct priv_result msg = {
		.hdr = { .build_id = priv_build_id(), .type = PRIV_FAILED },
		.code = why->code,
		.sys = why->sys,
	};

	memcpy(msg.text, why->what, sizeof(msg.text));
	return fdpass_send(fd, &msg, sizeof(msg), -1, err);
}
