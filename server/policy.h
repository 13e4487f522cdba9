/*
 * policy - what holds for the whole agent: the configuration file and the
 * command line that overrides it.
 *
 * Read by capagent before anything else, from a file that only root (or the
 * user who starts the agent) can write.  Every refusal names file and line:
 * an agent never starts with half of its restrictions understood.
 */
#ifndef SERVER_POLICY_H
#define SERVER_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "server/listen_open.h"
#include "server/priv_msg.h"

#define POLICY_FILE "/etc/capagent/capagent.conf"

enum {
	POLICY_FILTER_LEN = 4096,	/* longer texts take libpcap seconds */
	POLICY_PATTERNS_LEN = 1024,
	POLICY_USER_LEN = 64,
};

struct policy {
	bool		 has_file;
	char		 file[PRIV_PATH_LEN];
	unsigned	 n_listen;
	struct listen_address listen[PRIV_MAX_LISTENERS];
	char		 cert[PRIV_PATH_LEN];
	char		 key[PRIV_PATH_LEN];
	char		 ca[PRIV_PATH_LEN];
	char		 user[POLICY_USER_LEN];		/* "": the default */
	bool		 has_interfaces;	/* false: interfaces is the default */
	char		 interfaces[POLICY_PATTERNS_LEN];	/* separated by commas, blanks */
	char		 mandatory_filter[POLICY_FILTER_LEN];	/* "": none */
	unsigned	 mandatory_line;	/* of file; for messages */
	uint32_t	 namespaces;	/* enum priv_namespaces; 0: none */
	char		 namespace_names[POLICY_PATTERNS_LEN];	/* as interfaces */
	bool		 hardware_timestamps;
	bool		 promiscuous;
	uint32_t	 max_snaplen;
	uint32_t	 max_captures;
	uint32_t	 max_interfaces;	/* of one capture */
	uint32_t	 max_linger_s;
	uint32_t	 mark;
	uint64_t	 ring_memory;
	uint64_t	 log_memory;
};

/* Everything permitted, the default limits. */
void policy_init(struct policy *policy);

/*
 * Read a configuration file over what policy says.
 *
 * E_CONFIG  "FILE:LINE: ..." or what is wrong with the file itself; policy
 *           is then half changed and of no use
 */
int policy_load(struct policy *policy, const char *path, struct err *err) MUST_CHECK;

/* Is there a file to load?  Also true when it cannot be examined. */
bool policy_file_exists(const char *path);

/*
 * Set one key to a value written as in the file; "listen" adds, and so does
 * "interfaces" from the second time on.
 * E_CONFIG  unknown key, or a value that is not understood
 */
int policy_set(struct policy *policy, const char *key, const char *value,
    struct err *err) MUST_CHECK;

/* May this interface be captured?  The same holds in every namespace. */
bool policy_permits(const struct policy *policy, const char *interface);

/* May every interface be captured, whatever it is called? */
bool policy_permits_all(const struct policy *policy);

/* May interfaces in the network namespace of this name be captured? */
bool policy_permits_netns(const struct policy *policy, const char *name);

#endif /* SERVER_POLICY_H */
