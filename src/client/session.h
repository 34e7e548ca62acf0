/* The session of a client: taken from the contexts, refreshed before it ends, stored again. Part of
 * libgwclient, used by client.c alone. One thread for each struct; any number of processes. */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"
#include "client/contexts.h"

struct http_client;

struct session {
	struct contexts contexts;
	char *name; /* of the context; NULL: none */
	struct secret access;
	int64_t expires_at; /* of access; seconds since the epoch */
};

/* Copies the session of the named context out of contexts. E_NOMEM. */
enum err session_load(struct session *s);
void session_release(struct session *s);
/* Makes s->access good for some seconds at least. `rejected`: the gateway did not take it, whatever its
 * time says. Processes that come at the same time refresh once: the others find the new session in
 * the file. E_UNAUTHENTICATED: there is none, or it has ended. */
enum err session_ensure(struct session *s, struct http_client *http, bool rejected, struct fail *f);
/* Stores a token set (JSON) as context `name`, which becomes the current one. ca may be NULL. */
enum err session_store(struct session *s, const struct http_client *http, const char *name,
    const char *ca, const struct json_t *tokens, struct fail *f);
/* Removes the context. */
enum err session_forget(struct session *s, struct fail *f);

#endif
