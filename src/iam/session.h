/* Sign-ins: the table `session`. A session lives until it is ended, lies unused past its idle limit, or
 * reaches its absolute limit. Its refresh token is made from (id, counter); rotation is one guarded
 * UPDATE, so of any number of callers with the same token, on any number of replicas, one wins.
 * Blocking where a store is given: control lane. */
#ifndef IAM_SESSION_H
#define IAM_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "crypto/refresh_token.h"
#include "store/store.h"

struct seal;
struct write;

enum session_end { SESSION_SIGNOUT, SESSION_REUSE, SESSION_PASSWORD, SESSION_ADMIN, SESSION_DISABLED,
	SESSION_UNLINKED, SESSION_MFA, SESSION_UNPROVEN };

struct session {
	struct id id, principal;
	int64_t counter;
	struct str amr;        /* "pwd", "pwd otp" */
	int64_t auth_time;     /* all times: wall, microseconds */
	struct str user_agent, ip; /* .p NULL: not known */
	int64_t rotated_at;    /* 0: never */
	int64_t last_used_at, idle_expires_at, expires_at;
	int64_t ended_at;      /* 0: not ended */
	struct str end_reason;
	int64_t created_at;
	/* of its user, from session_read; email from session_rotate as well */
	struct str email;
	bool user_disabled;
	bool current; /* the caller's own; set by those who show lists */
};

/* How long sessions live, in microseconds. */
struct session_limits {
	int64_t idle, max_age, grace;
};

/* Adds a session (id, principal, amr, auth_time, user_agent, ip are taken) whose first token has
 * counter 0. Guard E_INVALID_CREDENTIALS: the user is there, enabled, and `phc` is still its password
 * hash (.p NULL: not looked at), so that a disable or a password change between the check and this
 * holds; and amr names a second factor if the user has one, so that no way in skips it. Fills in the
 * times of *s. */
void session_insert(struct write *w, const struct seal *seal, const struct session_limits *l,
    struct str phc, struct session *s);

/* With its user. E_NOT_FOUND. */
enum err session_read(struct store *s, enum store_level level, struct id id, struct arena *a,
    struct session *out, struct fail *f);
bool session_is_live(const struct session *s, int64_t now);

/* Trades a refresh token for its successor: out (without user_agent and ip) and token are what the
 * caller is to have. *ended: the
 * session has been ended because of reuse (the caller must see to it that caches know).
 * E_REFRESH_INVALID: not ours, unknown, ended, past a limit, or the user is disabled or gone.
 * E_REFRESH_REUSED: used before. Within l->grace the token just before the newest gives the newest
 * again, and changes nothing. */
enum err session_rotate(struct store *s, const struct seal *seal, const struct session_limits *l,
    struct str refresh, int64_t now, struct arena *a, struct session *out,
    char token[REFRESH_TOKEN_LEN], bool *ended, struct fail *f);

/* Changes nothing. Guard E_UNAUTHENTICATED: the principal's session still lives. */
void session_guard_live(struct write *w, struct id id, struct id principal);
/* Ends one live session of `principal`; E_NOT_FOUND when there is none. */
void session_end(struct write *w, struct id id, struct id principal, enum session_end why);
/* Ends all live sessions of the principal but `keep` (NULL: all). No guard. */
void session_end_all(struct write *w, struct id principal, const struct id *keep,
    enum session_end why);
void session_delete_all(struct write *w, struct id principal);
/* The user has another address: what refreshes tell of it. */
void session_set_email(struct write *w, struct id principal, struct str email);

struct session_filter {
	struct id principal;
	bool after_set;
	struct id after;
	int64_t now, limit;
};
/* Live ones, oldest first. */
enum err session_list(struct store *s, const struct session_filter *q, struct arena *a,
    struct session **out, size_t *n, struct fail *f);

/* Deletes at most `limit` sessions whose absolute limit was before `before`. */
enum err session_trim(struct store *s, int64_t now, int64_t before, int64_t limit, struct fail *f);

#endif
