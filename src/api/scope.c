#include "api/scope.h"

#include <jansson.h>

#include "api/ctl.h"
#include "authz/decision.h"
#include "iam/assignment.h"
#include "iam/principal.h"
#include "iam/service_account.h"
#include "iam/tenant.h"
#include "iam/user.h"
#include "request/request.h"

static void add(struct scope *s, struct str tenant)
{
	if (tenant.p == NULL || str_eq(tenant, TENANT_EVERY) || s->n == SCOPE_TENANTS)
		s->platform = true;
	else
		s->tenant[s->n++] = tenant;
}

/* Any tenant that the caller itself is assigned to. */
enum err scope_own_tenants(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	const struct principal *p = r->auth.principal;

	(void)c, (void)f;
	s->any = true;
	for (size_t i = 0; i < p->n && s->n < SCOPE_TENANTS; i++) {
		struct str t = p->assignments[i].tenant;

		if (!str_eq(t, TENANT_EVERY) && (s->n == 0 || !str_eq(s->tenant[s->n - 1], t)))
			add(s, t);
	}
	s->platform = s->n == 0;
	return OK;
}

enum err scope_tenant(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	(void)c;
	if (!tenant_id_is_valid(r->param[0]))
		return fail_set(f, E_NOT_FOUND, "there is no such tenant");
	add(s, r->param[0]);
	return OK;
}

/* ---- users ---------------------------------------------------------------------------------- */

static enum err param_id(struct request *r, const char *noun, struct id *id, struct fail *f)
{
	return id_parse(r->param[0], id) ? OK : fail_set(f, E_NOT_FOUND, "there is no such %s", noun);
}

static enum err user_tenants(struct ctl *c, struct request *r, struct str *tenants, size_t *n,
    struct fail *f)
{
	struct user u;
	struct id id;
	enum err e = param_id(r, "user", &id, f);

	if (e == OK)
		e = user_by_id(c->store, STORE_LINEAR, id, &r->arena, &u, f);
	if (e == OK)
		e = assignment_tenants(c->store, id, SCOPE_TENANTS, &r->arena, tenants, n, f);
	return e;
}

enum err scope_user_read(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct str tenants[SCOPE_TENANTS];
	size_t n;
	enum err e = user_tenants(c, r, tenants, &n, f);

	if (e != OK)
		return e;
	s->any = true;
	for (size_t i = 0; i < n && i < SCOPE_TENANTS; i++)
		if (!str_eq(tenants[i], TENANT_EVERY))
			add(s, tenants[i]);
	s->platform = s->n == 0;
	return OK;
}

enum err scope_user_write(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct str tenants[SCOPE_TENANTS];
	size_t n;
	enum err e = user_tenants(c, r, tenants, &n, f);

	if (e != OK)
		return e;
	s->platform = n == 0 || n > SCOPE_TENANTS;
	for (size_t i = 0; i < n && i < SCOPE_TENANTS; i++)
		add(s, tenants[i]);
	return OK;
}

/* ---- the others ----------------------------------------------------------------------------- */

static enum err role_tenant(struct ctl *c, struct request *r, struct str *tenant, struct fail *f)
{
	struct role_set *roles = NULL;
	const struct role_def *d;
	enum err e = role_set_load(c->store, &roles, f);

	if (e != OK)
		return e;
	*tenant = STR_NONE; /* also when there is no such role: who may not see it learns nothing */
	d = role_set_find(roles, r->param[0]);
	if (d != NULL && d->tenant.p != NULL) {
		*tenant = arena_str(&r->arena, d->tenant);
		if (tenant->p == NULL)
			e = fail_code(f, E_NOMEM);
	}
	role_set_unref(roles);
	return e;
}

/* A role of no tenant is seen by whoever may see roles anywhere. */
enum err scope_role_read(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct str tenant;
	enum err e = role_tenant(c, r, &tenant, f);

	if (e != OK)
		return e;
	if (tenant.p == NULL)
		return scope_own_tenants(c, r, s, f);
	add(s, tenant);
	return OK;
}

enum err scope_role_write(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct str tenant;
	enum err e = role_tenant(c, r, &tenant, f);

	if (e == OK)
		add(s, tenant);
	return e;
}

enum err scope_assignment(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct assignment as;
	struct id id;
	enum err e = param_id(r, "assignment", &id, f);

	if (e == OK)
		e = assignment_by_id(c->store, id, &r->arena, &as, f);
	if (e == OK)
		add(s, as.tenant);
	return e;
}

enum err scope_service_account(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	struct service_account sa;
	struct id id;
	enum err e = param_id(r, "service account", &id, f);

	if (e == OK)
		e = service_account_by_id(c->store, id, &r->arena, &sa, f);
	if (e == OK)
		add(s, sa.tenant);
	return e;
}

/* As with users: those who administer every tenant where it has a role, and its own. */
enum err scope_service_account_write(struct ctl *c, struct request *r, struct scope *s,
    struct fail *f)
{
	struct str tenants[SCOPE_TENANTS];
	struct id id;
	size_t n = 0;
	enum err e = scope_service_account(c, r, s, f);

	if (e == OK)
		e = param_id(r, "service account", &id, f);
	if (e == OK)
		e = assignment_tenants(c->store, id, SCOPE_TENANTS, &r->arena, tenants, &n, f);
	if (e != OK)
		return e;
	s->platform |= n > SCOPE_TENANTS;
	for (size_t i = 0; i < n && i < SCOPE_TENANTS; i++)
		add(s, tenants[i]);
	return OK;
}

enum err scope_body_tenant(struct ctl *c, struct request *r, struct scope *s, struct fail *f)
{
	json_t *body = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *t = json_object_get(body, "tenant");
	struct str tenant = STR_NONE;
	enum err e = OK;

	(void)c;
	if (json_is_string(t)) {
		tenant = arena_str(&r->arena, str_n(json_string_value(t), json_string_length(t)));
		if (tenant.p == NULL)
			e = fail_code(f, E_NOMEM);
	}
	json_decref(body);
	add(s, tenant_id_is_valid(tenant) ? tenant : STR_NONE);
	return e;
}
