/* Who a caller is and what was assigned to it, at one moment: an immutable, reference-counted
 * snapshot, loaded on the control lane and kept in each worker's cache until the change feed names
 * its id. Any thread may read one that it holds a reference of. */
#ifndef IAM_PRINCIPAL_H
#define IAM_PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct store;
struct write;

enum principal_kind { PRINCIPAL_USER, PRINCIPAL_SERVICE_ACCOUNT };

struct principal_assignment {
	struct str tenant; /* "*": every tenant */
	struct str role;   /* role id */
};

struct principal {
	struct id id;
	char id_text[ID_TEXT_LEN];
	enum principal_kind kind;
	bool disabled;
	struct str name; /* e-mail of a user, name of a service account */
	struct principal_assignment *assignments; /* sorted by tenant, then role */
	size_t n;
	int64_t as_of; /* seq of the change feed that this includes */
};

/* Reads principal and assignments in one snapshot (STORE_LINEAR). E_NOT_FOUND when there is none.
 * Blocking: control lane. The caller owns one reference. */
enum err principal_load(struct store *s, struct id id, struct principal **out, struct fail *f);
struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p);
/* Assignments in `tenant`: index of the first and their number (binary search). */
size_t principal_in_tenant(const struct principal *p, struct str tenant, size_t *first);

/* Guards a write: what the principal may do is as p has it, its assignments and every role. It must come
 * first in w, before the write's own changes. Guard E_PRECONDITION_FAILED: look again. */
void principal_guard(struct write *w, const struct principal *p);

/* The state of what a token hangs on, for the check that it still lives: the session of a sign-in, or
 * the credential of a service account that the token was given for (client_credentials). */
struct session_state {
	struct id id, principal;
	bool live;          /* neither ended nor past its limits at `now` of the load */
	int64_t expires_at; /* wall, microseconds: absolute limit; INT64_MAX: none */
	int64_t as_of;
};
/* An unknown session is OK with live == false. Blocking: control lane. */
enum err session_state_load(struct store *s, struct id id, int64_t now, struct session_state *out,
    struct fail *f);

#endif
