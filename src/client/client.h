/* libgwclient: what gwctl and others call a gateway with. It knows the stored contexts, keeps a
 * session alive (refreshing it, also when other processes do the same), passes JSON in and out and
 * turns the error envelope into a struct fail. Secrets never stand in an address, an argument or a
 * log. Blocking; one thread for each client. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"

struct client;
struct json_t;

struct client_config {
	const char *servers;    /* comma-separated; NULL: the context's */
	const char *context;    /* name; NULL: the one of these servers, else the current one */
	const char *ca;         /* PEM file; NULL: the context's, else the system's */
	const char *token;      /* bearer credential used instead of a session; NULL: none */
	const char *dir;        /* of contexts.json; NULL: see contexts.h */
	const char *user_agent; /* NULL: a default */
	int64_t timeout_us;     /* of one try at one server; 0: 30 s */
	bool new_context;       /* the named context need not exist: client_signin makes it */
};

/* Connects to nothing yet. E_USAGE: no server is known, or the context does not exist. A session is only
 * ever used towards the servers that it was made at. */
enum err client_new(const struct client_config *c, struct client **out, struct fail *f);
void client_free(struct client *c);
/* The context in use; NULL: none is stored for these servers. */
const char *client_context(const struct client *c);
/* Whether every server is reached by TLS or over loopback. */
bool client_is_private(const struct client *c);

struct client_request {
	const char *method, *path;   /* path with its query, from "/" */
	const struct json_t *body;   /* NULL: none */
	bool merge_patch;            /* the body is one (RFC 7396) */
	const char *if_match;        /* NULL: none */
	const char *idempotency_key; /* NULL: none; with it a repetition at another server is harmless */
	bool anonymous;              /* no credential */
};

struct client_reply {
	int status;
	struct json_t *body; /* owned; NULL: none */
	char etag[128], request_id[129];
};
void client_reply_release(struct client_reply *r);

/* OK for 2xx. Otherwise the error that the envelope names (its text and details in f), E_UNREACHABLE,
 * or E_UNAUTHENTICATED when there is no session or it has ended; r->request_id is set when there was
 * an answer. *r is overwritten, not released. */
enum err client_call(struct client *c, const struct client_request *q, struct client_reply *r,
    struct fail *f);

struct client_signin {
	const char *email;
	const struct secret *password;
	/* Called when a second factor is wanted; NULL: then E_MFA_REQUIRED. */
	enum err (*code)(void *ctx, struct secret *out, struct fail *f);
	void *ctx;
};
/* Signs in and stores the session as a context, which becomes the current one. */
enum err client_signin(struct client *c, const struct client_signin *s, struct client_reply *r,
    struct fail *f);
/* Ends the session (all of the user's with `everywhere`) and forgets the context. An ended session is
 * no error. */
enum err client_signout(struct client *c, bool everywhere, struct fail *f);

/* Appends s to the path or query p (of cap bytes) percent-encoded; false when it does not fit. */
bool client_escape(char *p, size_t cap, const char *s);

#endif
