#include "api/takeover.h"

#include "api/ctl.h"
#include "authz/decision.h"
#include "iam/principal.h"
#include "request/request.h"

enum err refuse_takeover(struct ctl *c, struct request *r, struct id principal, struct write *w,
    struct fail *f)
{
	struct role_set *roles = NULL;
	struct principal *target = NULL;
	enum err e = principal_load(c->store, principal, &target, f);

	if (e == OK)
		e = role_set_load(c->store, &roles, f);
	if (e == OK && !authz_outranks(r->auth.principal, r->auth.scopes, roles, target))
		e = fail_set(f, E_FORBIDDEN, "it holds rights that you do not hold");
	if (e == OK)
		principal_guard(w, target);
	role_set_unref(roles);
	principal_unref(target);
	return e;
}
