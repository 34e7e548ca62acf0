/* The decision: may this principal use this right on this resource in this tenant? A pure
 * function of immutable snapshots; no clock, no store, no cache. Any thread. Denies by default. */
#ifndef AUTHZ_DECISION_H
#define AUTHZ_DECISION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "iam/role_reader.h"

struct principal;
struct store;

/* All role definitions at one moment, and which tenants are disabled; reference-counted. */
struct role_set;

/* Reads roles and disabled tenants (STORE_LINEAR) and adds the built-in roles. Blocking: control lane. */
enum err role_set_load(struct store *s, struct role_set **out, struct fail *f);
/* From definitions; copies. Built-in ones are added and win over a definition that has their id. */
enum err role_set_new(const struct role_def *defs, size_t n, struct role_set **out);
/* The same with the ids of disabled tenants, in order. */
enum err role_set_new_without(const struct role_def *defs, size_t n, const struct str *disabled,
    size_t ndisabled, struct role_set **out);
bool role_set_disables(const struct role_set *r, struct str tenant);
struct role_set *role_set_ref(struct role_set *r);
void role_set_unref(struct role_set *r);
const struct role_def *role_set_find(const struct role_set *r, struct str id);
size_t role_set_count(const struct role_set *r);
const struct role_def *role_set_at(const struct role_set *r, size_t i);

enum authz_reason {
	AUTHZ_GRANTED,      /* an assignment in the tenant grants it */
	AUTHZ_GRANTED_ALL,  /* an assignment in every tenant ("*") grants it */
	AUTHZ_DISABLED,     /* the principal is disabled */
	AUTHZ_NOT_MEMBER,   /* no assignment in the tenant: 403 tenant_forbidden */
	AUTHZ_NO_RIGHT,     /* a member, but no grant: 403 forbidden */
	AUTHZ_TENANT_DISABLED, /* a member, or it holds in every tenant, but this one is disabled */
	AUTHZ_NO_SCOPE      /* granted, but not to this token: 403 forbidden */
};
struct decision {
	bool allowed;
	enum authz_reason reason;
	struct str role; /* the role that granted it; views into the role set */
};

/* tenant.p NULL: the right must be held platform-wide ("*"). resource.p NULL: the operation is
 * about no particular resource; a grant that is restricted to some resources does not hold then. */
struct decision authz_decide(const struct principal *p, const struct role_set *roles,
    struct str tenant, struct str right, struct str resource);
const char *authz_reason_text(enum authz_reason r);
/* Scopes of a token, separated by blanks, narrow what its principal may do; they never widen it. Each is
 * a right or a glob of rights, any other word allows nothing. .p NULL: not narrowed. */
bool authz_in_scopes(struct str scopes, struct str right);

/* Would `p` be allowed to grant every grant of `role` in `tenant`? ("Nobody grants what they do
 * not hold.") A grant is held when one grant of p covers it: the same or a wider right ("iam.*"
 * covers "iam.read", but "iam.read" and "iam.write" together do not cover "iam.*") on the same or
 * a covering glob. tenant "*" asks whether p may grant it everywhere. False as well when p is
 * disabled, when `role` belongs to another tenant, or when the scopes of its token leave a right out. */
bool authz_may_grant(const struct principal *p, struct str scopes, const struct role_set *roles,
    struct str tenant, const struct role_def *role);

/* Does p hold everything that `target` holds, wherever it holds it? Whoever sets another's
 * password, or makes a credential for it, can act as it from then on, and must have been able to
 * before. */
bool authz_outranks(const struct principal *p, struct str scopes, const struct role_set *roles,
    const struct principal *target);

/* Rights that exist (CONTRACT 5), for validation, --dump rights and /admin/rights. */
struct right_info { const char *name, *resource, *help; };
extern const struct right_info rights_all[];
extern const size_t rights_count;
/* A concrete right, a "noun.*" that covers one, or "*". */
bool right_is_known(struct str right);

#endif
