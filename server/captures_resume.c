/*
 * captures_resume - the capture that a client's Resume means.
 */
#include "server/captures_int.h"

struct capture *
captures_find(const struct captures *set, const struct msg_resume *resume,
    const char *identity, struct err *err)
{
	const struct captures_entry *e = set->first;
	const char *why = "no such capture";

	while (e != NULL && e->key.capture_id != resume->capture_id)
		e = e->next;
	if (e != NULL)
		why = resume_key_refuse(&e->key, &resume->token, identity);
	if (why != NULL) {
		err_set(err, E_GONE, "capture: resume: %s", why);
		return NULL;
	}
	return e->capture;
}
