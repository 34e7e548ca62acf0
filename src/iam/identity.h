/* Who a user is at OpenID providers: the table `identity`. An identity is (issuer, subject), never an
 * address. It belongs to one user, and the last way in of a user is never removed: held by guards in the
 * batch, whoever else writes at the same time. What proves a user by a token of another issuer hangs on it:
 * changes tell so (CHANGE_CREDENTIAL). Blocking where a store is given: control lane. */
#ifndef IAM_IDENTITY_H
#define IAM_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct store;
struct write;

#define IDENTITY_SUBJECT_MAX 255 /* OpenID Connect Core 1.0, 2 */

struct user_identity {
	struct id id, user;
	struct str issuer, subject;
	struct str email;     /* as the provider last said; .p NULL: it did not */
	int64_t last_used_at; /* 0: never */
	int64_t created_at;
};

/* Strings in the arena. E_NOT_FOUND. */
enum err identity_find(struct store *s, struct str issuer, struct str subject, struct arena *a,
    struct user_identity *out, struct fail *f);
enum err identity_by_id(struct store *s, struct id user, struct id id, struct arena *a,
    struct user_identity *out, struct fail *f);
/* Of one user, oldest first. */
enum err identity_list(struct store *s, struct id user, const struct id *after, int64_t limit,
    struct arena *a, struct user_identity **out, size_t *n, struct fail *f);

/* Adds it to its enabled user; last_used_at is taken as given. E_IDENTITY_TAKEN: it is somebody's, or the
 * user is gone or disabled. verified_fold: if not .p NULL, the user must have that folded address, verified,
 * else E_LINK_REQUIRED. */
void identity_insert(struct write *w, const struct user_identity *i, struct str verified_fold);
/* It was used to sign in. Guard E_INVALID_CREDENTIALS: it is still the user's. email: as the provider says
 * now; .p NULL: what was stays. */
void identity_use(struct write *w, struct id id, struct id user, struct str email);
/* The same by a token, at most once an hour; a failure is of no consequence. */
#define IDENTITY_USE_NOTED_US (INT64_C(3600) * 1000000)
void identity_note_use(struct store *s, const struct user_identity *i, int64_t now);
/* Takes it away, ends all sessions of the user but `keep` (NULL: all) and every sign-in under way. Guard
 * E_LAST_WAY_IN: the user has a password or another identity of `issuer`, the provider that is asked
 * now (.p NULL: there is none). */
void identity_delete(struct write *w, const struct user_identity *i, struct str issuer,
    const struct id *keep);
/* All of a user, whether that leaves a way in or not, and sign-ins by them that wait to be picked up. No
 * guard. */
void identity_delete_all(struct write *w, struct id user);

/* ---- what happens once ------------------------------------------------------------------------ */

#define OIDC_HANDOFF_LIFE (60 * INT64_C(1000000))

/* Uses a state up, for good: E_OIDC_STATE when it was used before. It need not be remembered past
 * expires_at. */
void oidc_state_use(struct write *w, struct str state, int64_t expires_at);

/* A sign-in that an application picks up: with the code, that it gets by way of the browser, and the
 * finish token, that it got when it began. code: in plain, TOKEN_LEN; the caller wipes it. */
enum err oidc_handoff_add(struct write *w, struct id user, struct id identity, struct str finish,
    char *code);
struct oidc_handoff {
	unsigned char hash[32], finish_hash[32];
	struct id user, identity;
};
/* E_TOKEN_INVALID: unknown, used or expired, or not begun by whoever asks; which of them is not told. */
enum err oidc_handoff_find(struct store *s, struct str code, struct str finish, int64_t now,
    struct oidc_handoff *out, struct fail *f);
/* Uses it up. E_TOKEN_INVALID at the commit. */
void oidc_handoff_use(struct write *w, const struct oidc_handoff *h);
void oidc_handoff_end_all(struct write *w, struct id user);

#endif
