/* /admin/assignments */
#include <stddef.h>

#include "api/bodies.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/scope.h"
#include "authz/decision.h"
#include "base/clock.h"
#include "iam/assignment.h"
#include "iam/principal.h"
#include "iam/role.h"
#include "iam/service_account.h"
#include "iam/tenant.h"
#include "iam/user.h"
#include "iam/write.h"

static void assignment_write(struct jsonw *w, const void *row)
{
	const struct assignment *as = row;

	jsonw_obj(w);
	jsonw_kid(w, "id", as->id);
	jsonw_kid(w, "principal", as->principal);
	jsonw_kstr(w, "tenant", as->tenant);
	jsonw_kstr(w, "role", as->role);
	jsonw_key(w, "created_by");
	if (as->has_creator)
		jsonw_id(w, as->created_by);
	else
		jsonw_null(w);
	jsonw_ktime(w, "created_at", as->created_at);
	etag_write(w, RESOURCE_FIXED);
	jsonw_obj_end(w);
}

static enum err find(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	struct id id;

	if (!id_parse(r->param[0], &id))
		return fail_set(f, E_NOT_FOUND, "there is no such assignment");
	return assignment_by_id(c->store, id, &r->arena, row, f);
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct str principal = request_query(r, "principal");
	struct assignment_filter q = { .tenant = request_query(r, "tenant"),
		.role = request_query(r, "role"), .by_principal = principal.p != NULL,
		.after_set = page->has_id, .after = page->id, .limit = page_limit(page) };
	struct assignment *as = NULL;
	enum err e;

	if (q.by_principal && !id_parse(principal, &q.principal))
		return fail_set(f, E_INVALID_PARAMETER, "principal must be a UUID");
	e = assignment_list(c->store, &q, &r->arena, &as, n, f);
	*rows = as;
	return e;
}

static enum err take_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	(void)c, (void)r, (void)f;
	assignment_delete(w, row);
	return OK;
}

const struct resource assignment_rows = {
	.size = sizeof(struct assignment), .by = PAGE_BY_ID, .key = offsetof(struct assignment, id),
	.taken = "the principal has this role there already",
	.write = assignment_write, .find = find, .list = list, .remove = take_away,
};

/* ---- who may be assigned -------------------------------------------------------------------- */

static bool may_write(const struct request *r, struct str tenant)
{
	return authz_decide(r->auth.principal, r->roles, tenant, STR("iam.write"), STR_NONE).allowed;
}

/* A principal that belongs to nobody yet may be taken in by whoever made it (a service account: by
 * whoever administers it). */
static enum err is_own(struct ctl *c, struct request *r, struct id principal, bool *own,
    struct fail *f)
{
	struct service_account sa;
	struct user u;
	enum err e = user_by_id(c->store, STORE_LINEAR, principal, &r->arena, &u, f);

	if (e == OK) {
		*own = u.has_creator && id_eq(u.created_by, r->auth.principal->id);
		return OK;
	}
	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	e = service_account_by_id(c->store, principal, &r->arena, &sa, f);
	if (e == E_NOT_FOUND)
		return body_invalid(f, "principal", "does not exist");
	if (e == OK)
		*own = sa.tenant.p != NULL && may_write(r, sa.tenant);
	return e;
}

/* Whoever takes a principal into a tenant gains a say over it, so it must be one that the caller
 * already has a say over: the platform's administrators over all, others over those of their
 * tenants and those that they made themselves. */
static enum err check_principal(struct ctl *c, struct request *r, struct id principal, struct fail *f)
{
	struct str tenants[SCOPE_TENANTS];
	bool own = false;
	size_t n = 0;
	enum err e;

	if (may_write(r, STR_NONE))
		return OK;
	e = assignment_tenants(c->store, principal, SCOPE_TENANTS, &r->arena, tenants, &n, f);
	if (e != OK)
		return e;
	for (size_t i = 0; i < n && i < SCOPE_TENANTS; i++)
		if (!str_eq(tenants[i], TENANT_EVERY) && may_write(r, tenants[i]))
			return OK;
	if (n == 0) {
		e = is_own(c, r, principal, &own, f);
		if (e != OK || own)
			return e;
	}
	return fail_set(f, E_FORBIDDEN, "the principal is none of your tenants'");
}

/* ---- changes -------------------------------------------------------------------------------- */

static bool tenant_or_every(struct str s)
{
	return str_eq(s, TENANT_EVERY) || tenant_id_is_valid(s);
}

struct assignment_create {
	struct body_id principal;
	struct body_str tenant, role;
};
const struct body_field body_assignment_create[] = {
	{ "principal", BODY_T_ID, BODY_REQUIRED, offsetof(struct assignment_create, principal) },
	{ "tenant", BODY_T_STR, BODY_REQUIRED, offsetof(struct assignment_create, tenant), 1,
	  TENANT_ID_MAX, .check = tenant_or_every, .rule = "must be a tenant's id, or *" },
	{ "role", BODY_T_STR, BODY_REQUIRED, offsetof(struct assignment_create, role), 1, ROLE_ID_MAX },
	{ NULL },
};

/* The role exists, may be used in the tenant, and grants nothing that the caller does not hold. */
static enum err check_role(struct ctl *c, struct request *r, const struct assignment *as,
    bool *built_in, struct fail *f)
{
	struct str tenant = str_eq(as->tenant, TENANT_EVERY) ? STR_NONE : as->tenant;
	struct role_set *roles = NULL;
	const struct role_def *d;
	enum err e = role_set_load(c->store, &roles, f);

	if (e != OK)
		return e;
	d = role_set_find(roles, as->role);
	if (d == NULL || (d->tenant.p != NULL && !str_eq(d->tenant, as->tenant)))
		e = body_invalid(f, "role", "does not exist in this tenant");
	else if (!authz_may_grant(r->auth.principal, r->auth.scopes, roles, tenant, d))
		e = fail_set(f, E_FORBIDDEN, "you cannot grant a right that you do not hold");
	else
		*built_in = d->built_in;
	role_set_unref(roles);
	return e;
}

enum err op_assignment_create(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct assignment as = { .id = id_new(now), .has_creator = true,
		.created_by = r->auth.principal->id, .created_at = now };
	struct assignment_create b;
	struct write w;
	bool built_in = false;
	enum err e = body_read(r, body_assignment_create, &b, sizeof b, f);

	if (e != OK)
		return e;
	as.principal = b.principal.v;
	as.tenant = b.tenant.v;
	as.role = b.role.v;
	e = check_role(c, r, &as, &built_in, f);
	if (e == OK)
		e = check_principal(c, r, as.principal, f);
	if (e != OK)
		return e;
	write_init(&w, &r->arena, now);
	assignment_insert(&w, &as, built_in);
	e = resource_create(c, r, &w, &as, f);
	return e == E_INVALID_FIELD ? fail_set(f, e, "principal or tenant does not exist") : e;
}
