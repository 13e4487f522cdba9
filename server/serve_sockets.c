#include "server/serve_sockets.h"

#include <stdlib.h>
#include <unistd.h>

void
serve_sockets_fini(struct serve_sockets *sockets)
{
	while (sockets->first != NULL)
		serve_sockets_close(sockets, sockets->first);
}

static uint32_t
count_of_capture(const struct serve_sockets *sockets, uint32_t capture)
{
	uint32_t n = 0;

	for (const struct serve_socket *s = sockets->first; s != NULL; s = s->next)
		if (s->capture == capture)
			n++;
	return n;
}

int
serve_sockets_check(const struct serve_sockets *sockets, const struct policy *policy,
    uint32_t capture, struct err *err)
{
	uint32_t n = count_of_capture(sockets, capture);

	if (n == 0 && sockets->n_captures >= policy->max_captures)
		return err_set(err, E_LIMIT, "capture: start: max-captures (%u) are running",
		    policy->max_captures);
	if (n >= policy->max_interfaces)
		return err_set(err, E_LIMIT, "capture: start: more than max-interfaces (%u)",
		    policy->max_interfaces);
	if (sockets->last_handle == UINT32_MAX)
		return err_set(err, E_LIMIT, "capture: start: restart the agent");
	return E_OK;
}

void
serve_sockets_add(struct serve_sockets *sockets, struct serve_socket *socket)
{
	if (count_of_capture(sockets, socket->capture) == 0)
		sockets->n_captures++;
	socket->handle = ++sockets->last_handle;
	socket->next = sockets->first;
	sockets->first = socket;
	sockets->ring_used += socket->ring_bytes;
}

struct serve_socket *
serve_sockets_find(const struct serve_sockets *sockets, uint32_t handle)
{
	struct serve_socket *s = sockets->first;

	while (s != NULL && s->handle != handle)
		s = s->next;
	return s;
}

/* Others on the same device still want the adapter's time stamps. */
static struct serve_socket *
find_other_stamped(const struct serve_sockets *sockets, const struct serve_socket *socket)
{
	struct serve_socket *s = sockets->first;

	while (s != NULL && (s == socket || !s->has_adapter_time ||
	    s->ifindex != socket->ifindex || s->netns_cookie != socket->netns_cookie))
		s = s->next;
	return s;
}

static void
end_stamping(const struct serve_sockets *sockets, const struct serve_socket *socket)
{
	struct serve_socket *other;

	if (!socket->stamping.is_set)
		return;
	other = find_other_stamped(sockets, socket);
	if (other != NULL)
		other->stamping = socket->stamping;
	else
		priv_device_restore(socket->fd, &socket->stamping);
}

void
serve_sockets_close(struct serve_sockets *sockets, struct serve_socket *socket)
{
	struct serve_socket **at = &sockets->first;

	while (*at != socket)
		at = &(*at)->next;
	*at = socket->next;
	if (count_of_capture(sockets, socket->capture) == 0)
		sockets->n_captures--;
	sockets->ring_used -= socket->ring_bytes;
	end_stamping(sockets, socket);
	close(socket->fd);
	priv_mandatory_unref(socket->all);
	free(socket);
}
