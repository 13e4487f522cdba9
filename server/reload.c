#include "server/reload.h"

#include <stdlib.h>

#include "common/log.h"
#include "server/mandatory.h"
#include "server/policy_change.h"

enum reload_state {
	RELOAD_IDLE,
	RELOAD_READING,		/* the reading process works */
	RELOAD_SENDING,		/* the boundary has no room */
	RELOAD_TRYING,		/* the network process works */
};

struct reload {
	struct reload_config cfg;
	enum reload_state state;
	bool		 is_again;	/* asked for once more */
	struct policy	 first;		/* of the start: its rights are what there is */
	struct policy	 next;
	struct policy_change change;
	struct priv_mandatory *mandatory;	/* NULL: as before */
	struct credentials credentials;
};

struct reload *
reload_new(const struct reload_config *config)
{
	struct reload *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->cfg = *config;
	r->first = *config->policy;
	r->credentials = (struct credentials){ -1, -1, -1 };
	return r;
}

/* Back to the start, with nothing kept of what was tried. */
static void
finish(struct reload *r)
{
	r->state = RELOAD_IDLE;
	credentials_close(&r->credentials);
	priv_mandatory_unref(r->mandatory);
	r->mandatory = NULL;
}

void
reload_free(struct reload *reload)
{
	if (reload == NULL)
		return;
	finish(reload);
	free(reload);
}

static void
refuse(struct reload *r, const struct err *why)
{
	log_warn(LOG_POLICY, "reload: %s: nothing is changed, captures go on", why->what);
	finish(r);
}

/* --- the network process has answered --- */

static void
log_commit(const struct reload *r)
{
	const struct policy *p = r->cfg.policy;
	const struct policy_change *c = &r->change;

	log_info(LOG_POLICY, "reloaded: certificates %s, %s, %s; %s%s: %s%s", p->cert, p->key,
	    p->ca, p->has_file ? "configuration " : "no configuration file", p->file,
	    c->changed[0] != '\0' ? "changed: " : "as before", c->changed);
	if (c->needs_restart[0] != '\0')
		log_warn(LOG_POLICY, "reload: %s: needs a restart: stays as it was",
		    c->needs_restart);
}

static void
commit(struct reload *r)
{
	*r->cfg.policy = r->next;
	if (r->mandatory != NULL) {
		priv_serve_set_mandatory(r->cfg.serve, r->mandatory);
		priv_mandatory_unref(*r->cfg.mandatory);
		*r->cfg.mandatory = r->mandatory;
		r->mandatory = NULL;
		mandatory_log(*r->cfg.mandatory);
	}
	log_commit(r);
	finish(r);
}

static void
on_answer(const struct err *why_not, void *arg)
{
	struct reload *r = arg;

	if (why_not != NULL)
		refuse(r, why_not);
	else
		commit(r);
}

/* --- on the way there --- */

static int
send_to_child(struct reload *r, struct err *err)
{
	struct net_setup setup = {
		.policy = &r->next,
		.log_spec = r->cfg.log_spec,
		.sandbox = r->cfg.sandbox,
		.cert_fd = r->credentials.cert_fd,
		.key_fd = r->credentials.key_fd,
		.ca_fd = r->credentials.ca_fd,
	};

	if (!priv_serve_has_room(r->cfg.serve))
		return E_OK;
	/* With room for some, there is room for all: they are small. */
	if (net_spawn_send_reload(r->cfg.child, &setup, err) != E_OK)
		return err_wrap(err, "reload");
	credentials_close(&r->credentials);
	priv_serve_await_reload(r->cfg.serve, on_answer, r);
	r->state = RELOAD_TRYING;
	return E_OK;
}

static int
keep_mandatory(struct reload *r, const struct priv_mandatory *found, struct err *err)
{
	if (priv_mandatory_equal(found, *r->cfg.mandatory))
		return E_OK;
	r->mandatory = priv_mandatory_new();
	if (r->mandatory == NULL)
		return err_set(err, E_NOMEM, "mandatory-filter: out of memory");
	priv_mandatory_copy(r->mandatory, found);
	return E_OK;
}

static void
take_found(struct reload *r)
{
	struct reread_found found;
	struct err why;
	int ret = reread_take(r->cfg.reread, &found, &why);

	if (ret == E_AGAIN)
		return;
	if (ret == E_OK) {
		r->credentials = found.credentials;
		r->next = *found.policy;
		ret = policy_change_judge(&r->first, r->cfg.policy, &r->next, &r->change, &why);
	}
	if (ret == E_OK)
		ret = keep_mandatory(r, found.mandatory, &why);
	if (ret == E_OK)
		r->state = RELOAD_SENDING;
	else
		refuse(r, &why);
}

static void
start(struct reload *r)
{
	struct err why;

	r->is_again = false;
	r->state = RELOAD_READING;
	if (reread_ask(r->cfg.reread, &why) != E_OK)
		refuse(r, &why);
}

void
reload_ask(struct reload *reload)
{
	reload->is_again = true;
}

void
reload_child_ended(struct reload *reload)
{
	if (reread_has_ended(reload->cfg.reread))
		log_warn(LOG_POLICY, "the process that reads files has ended: nothing can be "
		    "reloaded until the agent is restarted; captures go on");
}

int
reload_fd(const struct reload *reload)
{
	return reload->state == RELOAD_READING ? reread_fd(reload->cfg.reread) : -1;
}

bool
reload_wants_room(const struct reload *reload)
{
	return reload->state == RELOAD_SENDING;
}

int
reload_turn(struct reload *reload, struct err *err)
{
	if (reload->state == RELOAD_READING)
		take_found(reload);
	if (reload->state == RELOAD_IDLE && reload->is_again)
		start(reload);
	return reload->state == RELOAD_SENDING ? send_to_child(reload, err) : E_OK;
}
