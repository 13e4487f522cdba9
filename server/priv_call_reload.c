#include "server/priv_call_int.h"

#include <stdlib.h>
#include <string.h>

#include "server/fdpass.h"

void
priv_call_drop_reload(struct priv_call *call)
{
	if (call->reload == NULL)
		return;
	priv_setup_close(call->reload);
	free(call->reload);
	call->reload = NULL;
}

static int
begin(struct priv_call *call, struct err *err)
{
	/* capagent waits for the answer to one before it sends another. */
	if (call->reload != NULL || call->must_answer)
		return err_set(err, E_BADMSG, "boundary: RELOAD during a reload");
	call->reload = calloc(1, sizeof(*call->reload));
	if (call->reload == NULL)
		return err_set(err, E_NOMEM, "boundary: reload: out of memory");
	priv_setup_init(call->reload);
	return E_OK;
}

int
priv_call_take_reload(struct priv_call *call, int *fd, struct err *err)
{
	uint32_t type = call->reply.hdr.type;
	int ret;

	if (type == PRIV_RELOAD)
		return begin(call, err);
	if (call->reload == NULL || type == PRIV_SETUP_LISTENER)
		return err_set(err, E_BADMSG, "boundary: %s: not part of a reload",
		    priv_msg_name(type));
	ret = priv_setup_take(call->reload, &call->reply, fd, err);
	if (ret != E_OK || type != PRIV_SETUP_DONE)
		return ret;
	call->events.reload(call->reload, call->arg);
	priv_call_drop_reload(call);
	return E_OK;
}

void
priv_call_answer_reload(struct priv_call *call, const struct err *why_not)
{
	memset(&call->answer, 0, sizeof(call->answer));
	call->answer.hdr.build_id = priv_build_id();
	call->answer.hdr.type = why_not == NULL ? PRIV_RELOADED : PRIV_FAILED;
	if (why_not != NULL) {
		call->answer.code = why_not->code;
		call->answer.sys = why_not->sys;
		memcpy(call->answer.text, why_not->what, sizeof(call->answer.text));
	}
	call->must_answer = true;
	priv_call_send(call);
}

int
priv_call_send_answer(struct priv_call *call, struct err *err)
{
	int ret;

	if (!call->must_answer)
		return E_OK;
	/* RELOADED is the header alone. */
	ret = fdpass_send(call->fd, &call->answer, priv_msg_size(call->answer.hdr.type), -1,
	    err);
	if (ret == E_OK)
		call->must_answer = false;
	return ret;
}
