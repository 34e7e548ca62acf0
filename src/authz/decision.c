#include "authz/decision.h"

#include "iam/principal.h"

#define EVERY STR("*")

static bool is_every(struct str s)
{
	return str_eq(s, EVERY);
}

/* "*" covers every right, "noun.*" those of the noun and itself, any other only itself. */
static bool right_covers(struct str held, struct str asked)
{
	struct str noun = { held.p, held.n - 1 };

	if (str_eq(held, asked) || is_every(held))
		return true;
	return held.n > 2 && held.p[held.n - 1] == '*' && held.p[held.n - 2] == '.' &&
	    str_starts(asked, noun);
}

/* A glob covers another when it matches the other's text: a `*` in that text stands for every
 * string, and only a `*` can match it. */
static bool resource_covers(struct str held, struct str asked)
{
	return str_glob(held, asked.p != NULL ? asked : EVERY);
}

/* A role of one tenant means nothing in another, nor in all of them. */
static bool usable_in(const struct role_def *d, struct str tenant)
{
	return d->tenant.p == NULL || str_eq(d->tenant, tenant);
}

static bool role_grants(const struct role_def *d, struct str right, struct str resource)
{
	for (size_t i = 0; i < d->n; i++)
		if (right_covers(d->grants[i].right, right) &&
		    resource_covers(d->grants[i].resource, resource))
			return true;
	return false;
}

/* The role by which p holds the right through its assignments in exactly `tenant`; *members
 * counts them. */
static const struct role_def *held_in(const struct principal *p, const struct role_set *roles,
    struct str tenant, struct str right, struct str resource, size_t *members)
{
	size_t first, n = principal_in_tenant(p, tenant, &first);

	*members += n;
	for (size_t i = first; i < first + n; i++) {
		const struct role_def *d = role_set_find(roles, p->assignments[i].role);

		if (d != NULL && usable_in(d, tenant) && role_grants(d, right, resource))
			return d;
	}
	return NULL;
}

static struct decision decide(const struct principal *p, const struct role_set *roles,
    struct str tenant, struct str right, struct str resource, size_t *members)
{
	const struct role_def *d;

	if (tenant.p != NULL) {
		d = held_in(p, roles, tenant, right, resource, members);
		if (d != NULL)
			return (struct decision){ true, AUTHZ_GRANTED, d->id };
	}
	d = held_in(p, roles, EVERY, right, resource, members);
	if (d != NULL)
		return (struct decision){ true, AUTHZ_GRANTED_ALL, d->id };
	return (struct decision){
		.reason = *members == 0 && tenant.p != NULL ? AUTHZ_NOT_MEMBER : AUTHZ_NO_RIGHT
	};
}

struct decision authz_decide(const struct principal *p, const struct role_set *roles,
    struct str tenant, struct str right, struct str resource)
{
	struct decision d;
	size_t members = 0;

	if (p->disabled)
		return (struct decision){ .reason = AUTHZ_DISABLED };
	if (tenant.p != NULL && is_every(tenant))
		tenant = STR_NONE;
	d = decide(p, roles, tenant, right, resource, &members);
	/* strangers are not told */
	if (tenant.p != NULL && d.reason != AUTHZ_NOT_MEMBER && role_set_disables(roles, tenant))
		return (struct decision){ .reason = AUTHZ_TENANT_DISABLED };
	return d;
}

const char *authz_reason_text(enum authz_reason r)
{
	static const char *const text[] = {
		[AUTHZ_GRANTED] = "granted by an assignment in the tenant",
		[AUTHZ_GRANTED_ALL] = "granted by an assignment in every tenant",
		[AUTHZ_DISABLED] = "the principal is disabled",
		[AUTHZ_NOT_MEMBER] = "the principal has no assignment in the tenant",
		[AUTHZ_NO_RIGHT] = "no assignment grants the right on this resource",
		[AUTHZ_TENANT_DISABLED] = "the tenant is disabled",
		[AUTHZ_NO_SCOPE] = "the scopes of the token leave the right out",
	};

	return text[r];
}

bool authz_in_scopes(struct str scopes, struct str right)
{
	if (scopes.p == NULL)
		return true;
	while (scopes.p != NULL) {
		struct str one = str_cut(scopes, ' ', &scopes);

		if (str_eq(one, right) || (one.n > 0 && memchr(one.p, '*', one.n) && str_glob(one, right)))
			return true;
	}
	return false;
}

bool authz_may_grant(const struct principal *p, struct str scopes, const struct role_set *roles,
    struct str tenant, const struct role_def *role)
{
	struct str in = tenant.p == NULL || is_every(tenant) ? STR_NONE : tenant;
	size_t members = 0;

	if (p->disabled || !usable_in(role, in.p != NULL ? in : EVERY))
		return false;
	for (size_t i = 0; i < role->n; i++) {
		const struct role_grant *g = &role->grants[i];

		/* what is held in a tenant that is disabled is still held */
		if (!decide(p, roles, in, g->right, g->resource, &members).allowed ||
		    !authz_in_scopes(scopes, g->right))
			return false;
	}
	return true;
}

bool authz_outranks(const struct principal *p, struct str scopes, const struct role_set *roles,
    const struct principal *target)
{
	for (size_t i = 0; i < target->n; i++) {
		const struct principal_assignment *a = &target->assignments[i];
		const struct role_def *d = role_set_find(roles, a->role);

		/* what a role would do nowhere, nobody needs to hold */
		if (d != NULL && usable_in(d, a->tenant) && !authz_may_grant(p, scopes, roles, a->tenant, d))
			return false;
	}
	return !p->disabled;
}
