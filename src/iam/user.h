/* People: the table `user` and what may be done to it. Users are platform-wide; who may see or change
 * one is decided above. Functions that change append to a write; the guards in it make the batch fail
 * whole when the row is gone, stale, or would leave the platform without an administrator.
 * Blocking where a store is given: control lane or command line. */
#ifndef IAM_USER_H
#define IAM_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "iam/session.h"
#include "store/store.h"

struct write;

#define USER_NAME_MAX 200

struct user {
	struct id id;
	struct str email;        /* as given */
	struct str display_name; /* .p NULL: none */
	struct str phc;          /* password hash; .p NULL: no password sign-in */
	bool disabled;
	bool has_creator;
	struct id created_by;    /* the principal that made it; signed up by itself: none */
	int64_t email_verified_at; /* 0: not verified */
	int64_t version;           /* the etag */
	int64_t created_at, updated_at;
};

/* E_NOT_FOUND. Strings are in the arena. */
enum err user_by_id(struct store *s, enum store_level level, struct id id, struct arena *a,
    struct user *out, struct fail *f);
/* fold: as email_fold made it. */
enum err user_by_email(struct store *s, enum store_level level, struct str fold, struct arena *a,
    struct user *out, struct fail *f);

/* Adds u (id, email, display_name, phc, created_by, email_verified_at are taken). E_EMAIL_TAKEN when
 * the folded address is in use. */
void user_insert(struct write *w, const struct user *u, struct str fold);

struct user_patch {
	bool set_disabled, disabled;
	bool set_display_name;
	struct str display_name; /* .p NULL: removed */
	bool set_email;
	struct str email, fold; /* a changed address is no longer verified */
};
/* Ends what lets the user in, but the session `keep` (NULL: none is kept), and what is about to: sign-ins
 * that wait for a second factor or to be picked up. */
void user_end_all(struct write *w, struct id id, const struct id *keep, enum session_end why);
/* Changes what is set. if_version 0: any version; else E_PRECONDITION_FAILED when it has moved on. A
 * user that is gone is E_NOT_FOUND. Disabling ends all of user_end_all, and is E_LAST_ADMIN for
 * the last enabled platform admin. That and another address void the links that are under way. */
void user_update(struct write *w, struct id id, int64_t if_version, const struct user_patch *p);
/* With assignments, sessions, second factor and identities. E_LAST_ADMIN. */
void user_delete(struct write *w, struct id id, int64_t if_version);
/* Sets the hash. was: the hash that was checked, E_INVALID_CREDENTIALS when it has changed since (.p
 * NULL: whatever was there). Ends all of user_end_all. */
void user_set_password(struct write *w, struct id id, struct str was, struct str phc,
    const struct id *keep);
/* Signed up by itself and has not shown yet that it reads the mail of its address: with auth.signup
 * verify it can't sign in. An account that somebody else made counts as vouched for. */
static inline bool user_awaits_link(const struct user *u)
{
	return u->email_verified_at == 0 && !u->has_creator;
}
/* The address is its user's: a link in a mail to it was used. When that is shown for the first time, what
 * was made before may be a stranger's, who has signed up with somebody else's address, and must not let
 * that stranger in: sessions, what is about to become one, and identities go. The second factor, which
 * lets nobody in, stays: a mailbox alone must not be enough to come in. So does the password: whoever
 * proves the address by a reset sets another. u: as read before; E_TOKEN_INVALID when the user is
 * gone, or was shown to be the owner in between. */
void user_verify_email(struct write *w, const struct user *u);
/* The same password under newer parameters: only while old_phc still holds; no guard. */
void user_rehash_password(struct write *w, struct id id, struct str old_phc, struct str phc);

struct user_filter {
	struct str tenant;     /* .p NULL: all */
	struct str email_fold; /* .p NULL: all */
	bool disabled_only;
	bool after_set;
	struct id after; /* keyset: ids greater than this */
	int64_t limit;
};
/* In the order of ids, that is of creation. */
enum err user_list(struct store *s, const struct user_filter *q, struct arena *a,
    struct user **out, size_t *n, struct fail *f);

#endif
