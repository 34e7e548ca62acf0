/* Stored servers and sessions: one JSON file, readable by its owner alone, replaced atomically, and a
 * lock beside it for whoever changes it. Any number of processes; one thread for each struct.
 *
 *	{"current": "prod", "contexts": {"prod": {"servers": ["https://gw:8081"], "ca": null,
 *	 "email": "...", "user_id": "...", "session_id": "...", "access_token": "...",
 *	 "expires_at": 1763683960, "refresh_token": "..."}}}		(times: seconds since the epoch) */
#ifndef CLIENT_CONTEXTS_H
#define CLIENT_CONTEXTS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct json_t;

struct contexts {
	char *path;          /* of the file */
	int lock;            /* descriptor while locked, else -1 */
	struct json_t *root; /* as in the file; never NULL after contexts_open */
};

/* dir NULL: $XDG_CONFIG_HOME/gateway, or ~/.config/gateway. A missing file is an empty one. E_LOCAL
 * when it cannot be read, is not what we wrote, or others may read it. */
enum err contexts_open(struct contexts *c, const char *dir, struct fail *f);
void contexts_close(struct contexts *c);
/* Waits for the lock, then reads the file again. */
enum err contexts_lock(struct contexts *c, struct fail *f);
void contexts_unlock(struct contexts *c);
/* Writes root; only while locked. */
enum err contexts_save(struct contexts *c, struct fail *f);

/* Borrowed; NULL when there is none. */
const char *contexts_current(const struct contexts *c);
struct json_t *contexts_get(const struct contexts *c, const char *name);
/* The context that all of these servers (comma-separated) belong to: the current one if it does. */
const char *contexts_by_servers(const struct contexts *c, const char *servers);
/* Whether every server of the list is one of the context's. */
bool context_has_servers(const struct json_t *context, const char *servers);

#endif
