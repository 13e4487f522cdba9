/*
 * captures_int - what the files of captures share.
 *
 * captures.c starts and ends captures, captures_filter.c keeps own traffic out
 * of them, captures_update.c changes the client's filters, captures_links.c
 * follows what becomes of their interfaces, captures_places.c other namespaces,
 * captures_look.c finds and opens those that come later, captures_refused.c
 * remembers those that cannot be, captures_resume.c finds the one to resume.
 *
 * Of one capture these do one thing at a time (captures_go_on()): a socket is
 * never opened with a filter that is being replaced.
 */
#ifndef SERVER_CAPTURES_INT_H
#define SERVER_CAPTURES_INT_H

#include <stdbool.h>

#include "server/captures.h"
#include "server/open_one.h"

enum { CAPTURES_REFUSED_MAX = 64 };

/* An interface of the stream, by its number. */
struct captures_tap {
	struct captures_entry *entry;
	struct captures_socket s;
	bool		 is_open;	/* in capagent, too */
	bool		 is_gone;	/* nothing comes any more */
	bool		 is_down;
	bool		 is_down_new;	/* and not told yet */
	uint32_t	 mtu;		/* 0: not known yet */
	char		 name[16];	/* what it is called now */
	struct priv_call_request *request;	/* reject-all under way, or NULL */
};

/* A network namespace that the Start names. */
struct captures_place {
	uint32_t	 handle;	/* capagent's; 0: not there now */
	bool		 is_own;	/* the agent's, under a name */
	char		 name[PROTO_MAX_NAME + 1];	/* "netns:blue" */
};

/* A look at one namespace. */
struct captures_look {
	struct captures_entry *entry;
	struct priv_call_request *request;
	struct captures_place *place;	/* NULL: the agent's own */
	bool		 is_comparing;	/* what became of the open ones, too */
	struct priv_interface *found;	/* to be opened */
	size_t		 n, at;
	struct captures_socket socket;	/* the one being opened */
	struct open_one	*opening;
};

struct captures_entry {
	struct captures_entry *next;
	struct captures	*set;
	struct capture	*capture;
	uint32_t	 number;	/* capagent's for the capture */
	struct resume_key key;
	size_t		 log_bytes;
	uint64_t	 ring_bytes;	/* of an interface that comes later */
	struct msg_start start;
	struct captures_tap **taps;
	uint32_t	 n_taps, taps_room;
	uint32_t	 n_live;	/* not gone */
	uint32_t	 n_filters;	/* reject-all requests under way */
	bool		 is_quiescing;

	/* What is to be done, and what is being done. */
	bool		 wants_quiesce;
	bool		 wants_look;	/* for interfaces that are wanted */
	bool		 wants_compare;	/* look, and what became of the open ones? */
	struct msg	*next_update;
	struct captures_update *update;
	struct captures_look *look;

	/* Interfaces that cannot be captured: said once. */
	struct {
		uint32_t	 netns, ifindex;
		bool		 is_limit;	/* for want of something that may come free */
		bool		 is_retried;	/* something did: try again */
	}		 refused[CAPTURES_REFUSED_MAX];
	uint32_t	 n_refused;
	bool		 has_said_limit;

	struct captures_place *places;
	uint32_t	 n_places;
	uint32_t	 places_left;	/* to be looked at in this turn */
	struct loop_timer *place_timer;	/* while there are places */
	struct loop_timer *alone_timer;	/* all interfaces are gone: for how long? */
};

struct captures {
	struct net	*net;
	struct mailbox	*mail;
	struct loop_timer *look_timer;	/* interfaces come in swarms */
	struct loop_timer *down_timer;	/* most that go down are being deleted */
	struct captures_entry *first;
	unsigned	 n;
	uint64_t	 log_used;
	loop_fn		 done;		/* captures_end() */
	void		*done_arg;
};

/* --- captures.c --- */

/* Do what is to be done next, unless something is being done. */
void captures_go_on(struct captures_entry *e);

/* Add a socket as the next interface of the stream; s is copied.  E_NOMEM. */
int captures_add_tap(struct captures_entry *e, const struct captures_socket *s)
    MUST_CHECK;

/* --- captures_filter.c --- */

void captures_relink_entry(struct captures_entry *e);

/* --- captures_update.c --- */

/* Takes e->next_update. */
void captures_update_begin(struct captures_entry *e);
void captures_update_held(struct captures_entry *e);
void captures_update_abandon(struct captures_entry *e);

/* --- captures_links.c --- */

/* What is known of a tap's interface now; tells the client what is new. */
void captures_link_apply(struct captures_tap *tap, const struct link_change *now);

/* Compare with capagent's list of the namespace of this handle. */
void captures_links_compare(struct captures_entry *e, uint32_t netns,
    const struct priv_interface *list, size_t n);

void captures_on_look_timer(void *set);
void captures_on_down_timer(void *set);
void captures_on_alone_timer(void *entry);

/* Its socket lost its device; what has that number now is another interface. */
void captures_links_lost(struct captures_tap *tap);

/* Every tap of this namespace is gone: so is the namespace. */
void captures_links_lose(struct captures_entry *e, uint32_t netns);

/* --- captures_look.c --- */

/*
 * Look at e's interfaces in place (NULL: the agent's own namespace): open
 * those that are wanted and are not open.
 */
void captures_look_begin(struct captures_entry *e, struct captures_place *place);
void captures_look_abandon(struct captures_entry *e);

/* The answer of capagent, and the end, of a look. */
void captures_look_listed(const struct err *err, const struct priv_interface *list,
    size_t n, void *look);
void captures_look_end(struct captures_look *look);

/* --- captures_places.c --- */

/* The namespaces that e's Start names, with their handles.  E_NOMEM. */
int captures_places_init(struct captures_entry *e, struct survey *survey) MUST_CHECK;
void captures_places_fini(struct captures_entry *e);
void captures_on_place_timer(void *entry);

/* Ask for the interfaces of the place of look.  E_NOMEM, E_EOF (nothing to ask). */
int captures_place_ask(struct captures_look *look) MUST_CHECK;

/* It is there no more. */
void captures_place_lose(struct captures_look *look);

/* --- captures_refused.c --- */

/* Say once why an interface that is wanted is not captured. */
void captures_refuse(struct captures_entry *e, uint32_t netns, uint32_t ifindex,
    const struct err *why);
bool captures_is_refused(const struct captures_entry *e, uint32_t netns,
    uint32_t ifindex);

/* It may be captured after all: forget that it could not be. */
void captures_forget_refused(struct captures_entry *e, uint32_t netns,
    uint32_t ifindex);

/* Something came free: where an interface was refused for want of it, try again. */
void captures_retry_refused(struct captures *set);

#endif /* SERVER_CAPTURES_INT_H */
