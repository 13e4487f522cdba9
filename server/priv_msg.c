#include "server/priv_msg.h"

#include <string.h>

#ifndef CAP_BUILD_ID
#error "CAP_BUILD_ID comes from server/CMakeLists.txt"
#endif

/* A layout that the compiler pads would carry stale memory across. */
_Static_assert(sizeof(struct priv_hdr) == 16, "priv_hdr has padding");
_Static_assert(sizeof(struct priv_setup_config) == 80 + PRIV_LOG_SPEC_LEN, "padding");
_Static_assert(sizeof(struct priv_interface) == 96, "padding");
_Static_assert(sizeof(struct priv_list_reply) ==
    32 + PRIV_LIST_COUNT * 96 + PRIV_TEXT_LEN, "padding");
_Static_assert(sizeof(struct priv_program) == 8 + 8 * BPF_PROG_MAX, "padding");
_Static_assert(sizeof(struct priv_open) == 56 + sizeof(struct priv_program),
    "padding");
_Static_assert(sizeof(struct priv_open_reply) == 64 + PRIV_NAME_LEN + PRIV_TEXT_LEN,
    "padding");
_Static_assert(sizeof(struct priv_netns_list_reply) ==
    32 + PRIV_LIST_COUNT * (4 + PRIV_NETNS_NAME_LEN) + PRIV_TEXT_LEN, "padding");
_Static_assert(sizeof(struct priv_netns_reply) == 32 + PRIV_TEXT_LEN, "padding");

enum fd_rule { FD_NONE, FD_ALWAYS, FD_ON_SUCCESS };

static const struct msg_kind {
	uint32_t	 type;
	enum fd_rule	 fd;
	size_t		 size;
	const char	*name;
} kinds[] = {
	{ PRIV_SETUP_CONFIG, FD_NONE, sizeof(struct priv_setup_config), "SETUP_CONFIG" },
	{ PRIV_SETUP_LISTENER, FD_ALWAYS, sizeof(struct priv_setup_listener), "SETUP_LISTENER" },
	{ PRIV_SETUP_CERT, FD_ALWAYS, sizeof(struct priv_setup_file), "SETUP_CERT" },
	{ PRIV_SETUP_KEY, FD_ALWAYS, sizeof(struct priv_setup_file), "SETUP_KEY" },
	{ PRIV_SETUP_CA, FD_ALWAYS, sizeof(struct priv_setup_file), "SETUP_CA" },
	{ PRIV_SETUP_DONE, FD_NONE, sizeof(struct priv_plain), "SETUP_DONE" },
	{ PRIV_READY, FD_NONE, sizeof(struct priv_plain), "READY" },
	{ PRIV_FAILED, FD_NONE, sizeof(struct priv_result), "FAILED" },
	{ PRIV_RELOADED, FD_NONE, sizeof(struct priv_plain), "RELOADED" },
	{ PRIV_LIST, FD_NONE, sizeof(struct priv_list), "LIST" },
	{ PRIV_OPEN, FD_NONE, sizeof(struct priv_open), "OPEN" },
	{ PRIV_FILTER, FD_NONE, sizeof(struct priv_filter), "FILTER" },
	{ PRIV_CLOSE, FD_NONE, sizeof(struct priv_close), "CLOSE" },
	{ PRIV_NETNS_LIST, FD_NONE, sizeof(struct priv_netns_list), "NETNS_LIST" },
	{ PRIV_NETNS, FD_NONE, sizeof(struct priv_netns), "NETNS" },
	{ PRIV_NETNS_CLOSE, FD_NONE, sizeof(struct priv_netns_close), "NETNS_CLOSE" },
	{ PRIV_LIST_REPLY, FD_NONE, sizeof(struct priv_list_reply), "LIST_REPLY" },
	{ PRIV_OPEN_REPLY, FD_ON_SUCCESS, sizeof(struct priv_open_reply), "OPEN_REPLY" },
	{ PRIV_FILTER_REPLY, FD_NONE, sizeof(struct priv_result), "FILTER_REPLY" },
	{ PRIV_CLOSE_REPLY, FD_NONE, sizeof(struct priv_result), "CLOSE_REPLY" },
	{ PRIV_NETNS_LIST_REPLY, FD_NONE, sizeof(struct priv_netns_list_reply),
	    "NETNS_LIST_REPLY" },
	{ PRIV_NETNS_REPLY, FD_NONE, sizeof(struct priv_netns_reply), "NETNS_REPLY" },
	{ PRIV_NETNS_CLOSE_REPLY, FD_NONE, sizeof(struct priv_result), "NETNS_CLOSE_REPLY" },
	{ PRIV_END, FD_NONE, sizeof(struct priv_plain), "END" },
	{ PRIV_RELOAD, FD_NONE, sizeof(struct priv_plain), "RELOAD" },
};

uint64_t
priv_build_id(void)
{
	return CAP_BUILD_ID;
}

static const struct msg_kind *
find_kind(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

const char *
priv_msg_name(uint32_t type)
{
	const struct msg_kind *kind = find_kind(type);

	return kind != NULL ? kind->name : "unknown";
}

size_t
priv_msg_size(uint32_t type)
{
	const struct msg_kind *kind = find_kind(type);

	return kind != NULL ? kind->size : 0;
}

void
priv_msg_init(union priv_msg *msg, enum priv_msg_type type, uint32_t request_id)
{
	msg->hdr.build_id = priv_build_id();
	msg->hdr.type = type;
	msg->hdr.request_id = request_id;
}

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

/*
 * Each check_ function returns NULL, or the name of the first field that the
 * other side cannot have meant.
 */
static const char *
check_config(const struct priv_setup_config *m)
{
	if (m->sandbox > PRIV_SANDBOX_OFF)
		return "sandbox";
	if (m->promiscuous > 1 || m->has_config > 1 || m->has_mandatory > 1 ||
	    m->hardware_timestamps > 1)
		return "flag";
	if (m->namespaces > (PRIV_NAMESPACES_NAMED | PRIV_NAMESPACES_PID))
		return "namespaces";
	if (m->reserved != 0)
		return "reserved";
	if (m->max_snaplen < 1 || m->max_snaplen > PRIV_MAX_SNAPLEN)
		return "max_snaplen";
	return is_text(m->log_spec, sizeof(m->log_spec)) ? NULL : "log_spec";
}

static const char *
check_code(int32_t code, const char *text)
{
	if (!err_is_code(code))
		return "code";
	return is_text(text, PRIV_TEXT_LEN) ? NULL : "text";
}

static const char *
check_list_reply(const struct priv_list_reply *m)
{
	if (m->n > PRIV_LIST_COUNT)
		return "n";
	for (uint32_t i = 0; i < m->n; i++) {
		if (m->interfaces[i].mac_len > sizeof(m->interfaces[i].mac))
			return "mac_len";
		if (!is_text(m->interfaces[i].name, PRIV_NAME_LEN))
			return "name";
		if (!is_text(m->interfaces[i].driver, PRIV_DRIVER_LEN))
			return "driver";
	}
	return check_code(m->code, m->text);
}

static const char *
check_netns_list_reply(const struct priv_netns_list_reply *m)
{
	if (m->n > PRIV_LIST_COUNT)
		return "n";
	for (uint32_t i = 0; i < m->n; i++)
		if (!is_text(m->names[i].name, PRIV_NETNS_NAME_LEN))
			return "name";
	return check_code(m->code, m->text);
}

static const char *
check_netns(const struct priv_netns *m)
{
	if (m->kind != PRIV_NETNS_NAMED && m->kind != PRIV_NETNS_PID)
		return "kind";
	return m->number >= 1 && m->number <= INT32_MAX ? NULL : "number";
}

/* CLOSE and NETNS_CLOSE are the same. */
static const char *
check_close(uint32_t handle, uint32_t reserved)
{
	if (handle == 0)
		return "handle";
	return reserved == 0 ? NULL : "reserved";
}

static const char *
check_program(const struct priv_program *program)
{
	if (program->n_insns < 1 || program->n_insns > BPF_PROG_MAX)
		return "n_insns";
	return program->reserved == 0 ? NULL : "reserved";
}

static bool
is_link_type(uint32_t link_type)
{
	const uint32_t *all;
	size_t n;

	all = link_type_all(&n);
	for (size_t i = 0; i < n; i++)
		if (all[i] == link_type)
			return true;
	return false;
}

static const char *
check_open(const struct priv_open *m)
{
	bool is_cooked = (m->flags & PRIV_OPEN_COOKED) != 0;

	if (m->ifindex > INT32_MAX || (m->ifindex == 0 && !is_cooked))
		return "ifindex";
	if (!is_link_type(m->link_type) ||
	    (link_type_made_header(m->link_type) > 0) != is_cooked)
		return "link_type";
	if (m->snaplen < 1 || m->snaplen > PRIV_MAX_SNAPLEN)
		return "snaplen";
	if (m->ring_bytes < PRIV_MIN_RING || m->ring_bytes > PRIV_MAX_RING)
		return "ring_bytes";
	if ((m->flags & ~PRIV_OPEN_FLAGS) != 0)
		return "flags";
	if (m->lanes < 1 || m->lanes > PRIV_MAX_LANES)
		return "lanes";
	if (m->reserved != 0)
		return "reserved";
	return check_program(&m->program);
}

static const char *
check_open_reply(const struct priv_open_reply *m)
{
	if (m->is_promiscuous > 1)
		return "is_promiscuous";
	if (m->time_stamp_type > PRIV_TIME_ADAPTER_UNSYNCED ||
	    (m->time_stamp_type & (m->time_stamp_type - 1)) != 0)
		return "time_stamp_type";
	if (!is_text(m->name, sizeof(m->name)))
		return "name";
	return check_code(m->code, m->text);
}

static const char *
check_fields(const union priv_msg *msg)
{
	switch ((enum priv_msg_type)msg->hdr.type) {
	case PRIV_SETUP_CONFIG:
		return check_config(&msg->config);
	case PRIV_SETUP_LISTENER:
		return is_text(msg->listener.address, PRIV_ADDRESS_LEN) ? NULL : "address";
	case PRIV_SETUP_CERT:
	case PRIV_SETUP_KEY:
	case PRIV_SETUP_CA:
		return is_text(msg->file.name, PRIV_PATH_LEN) ? NULL : "name";
	case PRIV_SETUP_DONE:
	case PRIV_READY:
	case PRIV_RELOADED:
	case PRIV_END:
	case PRIV_RELOAD:
		return NULL;
	case PRIV_FAILED:
	case PRIV_FILTER_REPLY:
	case PRIV_CLOSE_REPLY:
	case PRIV_NETNS_CLOSE_REPLY:
		return check_code(msg->result.code, msg->result.text);
	case PRIV_LIST:
		return NULL;
	case PRIV_OPEN:
		return check_open(&msg->open);
	case PRIV_FILTER:
		if (msg->filter.handle == 0)
			return "handle";
		return msg->filter.reserved == 0 ? check_program(&msg->filter.program) :
		    "reserved";
	case PRIV_CLOSE:
		return check_close(msg->close.handle, msg->close.reserved);
	case PRIV_NETNS_LIST:
		return msg->netns_list.reserved == 0 ? NULL : "reserved";
	case PRIV_NETNS:
		return check_netns(&msg->netns);
	case PRIV_NETNS_CLOSE:
		return check_close(msg->netns_close.handle, msg->netns_close.reserved);
	case PRIV_LIST_REPLY:
		return check_list_reply(&msg->list_reply);
	case PRIV_OPEN_REPLY:
		return check_open_reply(&msg->open_reply);
	case PRIV_NETNS_LIST_REPLY:
		return check_netns_list_reply(&msg->netns_list_reply);
	case PRIV_NETNS_REPLY:
		return check_code(msg->netns_reply.code, msg->netns_reply.text);
	}
	return "type";
}

static bool
fd_is_right(const struct msg_kind *kind, const union priv_msg *msg, bool has_fd)
{
	switch (kind->fd) {
	case FD_NONE:
		return !has_fd;
	case FD_ALWAYS:
		return has_fd;
	case FD_ON_SUCCESS:
		return has_fd == (msg->open_reply.code == E_OK);
	}
	return false;
}

int
priv_msg_check(const union priv_msg *msg, size_t len, bool has_fd, struct err *err)
{
	const struct msg_kind *kind;
	const char *field;

	if (len < sizeof(struct priv_hdr))
		return err_set(err, E_BADMSG, "boundary: message of %zu bytes: no header", len);
	if (msg->hdr.build_id != priv_build_id())
		return err_set(err, E_BADMSG,
		    "boundary: message from another build (%016llx, this is %016llx): "
		    "install capagent and capagent-net together",
		    (unsigned long long)msg->hdr.build_id,
		    (unsigned long long)priv_build_id());
	kind = find_kind(msg->hdr.type);
	if (kind == NULL)
		return err_set(err, E_BADMSG, "boundary: message of unknown type %u",
		    msg->hdr.type);
	if (len != kind->size)
		return err_set(err, E_BADMSG, "boundary: %s: %zu bytes instead of %zu",
		    kind->name, len, kind->size);
	if (!fd_is_right(kind, msg, has_fd))
		return err_set(err, E_BADMSG, "boundary: %s: %s descriptor", kind->name,
		    has_fd ? "unexpected" : "no");
	field = check_fields(msg);
	if (field != NULL)
		return err_set(err, E_BADMSG, "boundary: %s: field %s out of range",
		    kind->name, field);
	return E_OK;
}
