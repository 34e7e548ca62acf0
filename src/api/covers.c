#include "api/covers.h"

#include "api/ctl.h"
#include "authz/decision.h"
#include "iam/principal.h"
#include "iam/tenant.h"
#include "request/request.h"

static bool covers(const struct principal *caller, const struct role_set *roles,
    const struct principal_assignment *as)
{
	const struct role_def *d = role_set_find(roles, as->role);
	struct str tenant = str_eq(as->tenant, TENANT_EVERY) ? STR_NONE : as->tenant;

	return d == NULL || authz_may_grant(caller, roles, tenant, d); /* no role grants nothing */
}

enum err covers_principal(struct ctl *c, struct request *r, struct id principal, struct fail *f)
{
	struct principal *p = NULL;
	struct role_set *roles = NULL;
	enum err e = principal_load(c->store, principal, &p, f);

	if (e == OK)
		e = role_set_load(c->store, &roles, f);
	for (size_t i = 0; e == OK && i < p->n; i++)
		if (!covers(r->auth.principal, roles, &p->assignments[i]))
			e = fail_set(f, E_FORBIDDEN, "the principal has rights that you do not hold");
	role_set_unref(roles);
	principal_unref(p);
	return e;
}
