/* /admin/roles and /admin/rights */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "api/bodies.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "authz/decision.h"
#include "base/clock.h"
#include "iam/principal.h"
#include "iam/role.h"
#include "iam/tenant.h"
#include "iam/write.h"

/* ---- rights --------------------------------------------------------------------------------- */

enum err op_right_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct jsonw w = page_begin(r);

	(void)c, (void)f;
	for (size_t i = 0; i < rights_count; i++) {
		jsonw_obj(&w);
		jsonw_kz(&w, "right", rights_all[i].name);
		jsonw_kstr(&w, "resource", str_c(rights_all[i].resource));
		jsonw_kz(&w, "help", rights_all[i].help);
		jsonw_obj_end(&w);
	}
	page_end_only(&w);
	return OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void role_write(struct jsonw *w, const void *row)
{
	const struct role_def *d = row;

	jsonw_obj(w);
	jsonw_kstr(w, "id", d->id);
	jsonw_kstr(w, "name", d->name);
	jsonw_kstr(w, "tenant", d->tenant);
	jsonw_kbool(w, "built_in", d->built_in);
	jsonw_key(w, "rights");
	jsonw_arr(w);
	for (size_t i = 0; i < d->n; i++) {
		jsonw_obj(w);
		jsonw_kstr(w, "right", d->grants[i].right);
		jsonw_kstr(w, "resource", d->grants[i].resource);
		jsonw_obj_end(w);
	}
	jsonw_arr_end(w);
	etag_write(w, d->version);
	jsonw_obj_end(w);
}

static bool after(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c > 0 || (c == 0 && a.n > b.n);
}

/* With ?tenant=: what can be assigned there, that is its own roles and those of no tenant. */
static bool listed(const struct role_def *d, struct str tenant, struct str past)
{
	return (tenant.p == NULL || d->tenant.p == NULL || str_eq(d->tenant, tenant)) &&
	    (past.p == NULL || after(d->id, past));
}

static void unref(void *roles)
{
	role_set_unref(roles);
}

/* All roles, alive as long as the request. */
static enum err load(struct ctl *c, struct request *r, struct role_set **roles, struct fail *f)
{
	enum err e = role_set_load(c->store, roles, f);

	if (e == OK && request_on_finish(r, unref, *roles) != OK)
		e = fail_code(f, E_NOMEM);
	return e;
}

static enum err find(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	const struct role_def *d;
	struct role_set *roles;
	enum err e = load(c, r, &roles, f);

	if (e != OK)
		return e;
	d = role_set_find(roles, r->param[0]);
	if (d == NULL)
		return fail_set(f, E_NOT_FOUND, "there is no such role");
	*(struct role_def *)row = *d;
	return OK;
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct str tenant = request_query(r, "tenant");
	size_t limit = (size_t)page_limit(page);
	struct role_set *roles;
	struct role_def *out;
	enum err e = load(c, r, &roles, f);

	if (e != OK)
		return e;
	*rows = out = arena_alloc(&r->arena, limit * sizeof *out);
	if (out == NULL)
		return fail_code(f, E_NOMEM);
	for (size_t i = 0; i < role_set_count(roles) && *n < limit; i++)
		if (listed(role_set_at(roles, i), tenant, page->after))
			out[(*n)++] = *role_set_at(roles, i);
	return OK;
}

static enum err take_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct role_def *d = row;

	(void)c, (void)r;
	if (d->built_in)
		return fail_code(f, E_BUILT_IN);
	role_delete(w, d->id, d->version);
	return OK;
}

/* ---- bodies --------------------------------------------------------------------------------- */

struct grant_body {
	struct body_str right, resource;
};
static const struct body_field body_grant[] = {
	{ "right", BODY_T_STR, BODY_REQUIRED, offsetof(struct grant_body, right), 1, 64,
	  .check = right_is_known, .rule = "must be one of /admin/rights, noun.* or *" },
	{ "resource", BODY_T_STR, BODY_NULLABLE, offsetof(struct grant_body, resource), 1, 200 },
	{ NULL },
};

/* The array "rights" as grants, in the arena. */
static enum err read_grants(struct request *r, const json_t *list, struct role_grant **out,
    size_t *n, struct fail *f)
{
	enum err e = OK;

	*n = json_array_size(list);
	*out = arena_alloc(&r->arena, (*n + 1) * sizeof **out);
	if (*out == NULL)
		return fail_code(f, E_NOMEM);
	for (size_t i = 0; e == OK && i < *n; i++) {
		struct grant_body b;
		char path[32];

		snprintf(path, sizeof path, "rights[%zu]", i);
		e = body_object(json_array_get(list, i), body_grant, path, &b, sizeof b, f);
		(*out)[i] = (struct role_grant){ b.right.v,
			b.resource.v.p != NULL ? b.resource.v : STR("*") };
	}
	return e;
}

/* Nobody makes a role allow what they may not do themselves, where the role can be used. */
static enum err check_holds(struct ctl *c, struct request *r, const struct role_def *d,
    struct fail *f)
{
	struct role_set *roles = NULL;
	bool may;
	enum err e = role_set_load(c->store, &roles, f);

	if (e != OK)
		return e;
	may = authz_may_grant(r->auth.principal, r->auth.scopes, roles, d->tenant, d);
	role_set_unref(roles);
	return may ? OK : fail_set(f, E_FORBIDDEN, "you cannot grant a right that you do not hold");
}

/* ---- changes -------------------------------------------------------------------------------- */

struct role_create {
	struct body_str id, name, tenant;
	struct body_json rights;
};
const struct body_field body_role_create[] = {
	{ "id", BODY_T_STR, BODY_REQUIRED, offsetof(struct role_create, id), 1, ROLE_ID_MAX,
	  .check = role_id_is_valid, .rule = "must match [a-z0-9][a-z0-9._-]{0,62}" },
	{ "name", BODY_T_STR, 0, offsetof(struct role_create, name), 1, ROLE_NAME_MAX },
	{ "tenant", BODY_T_STR, BODY_NULLABLE, offsetof(struct role_create, tenant), 1, TENANT_ID_MAX,
	  .check = tenant_id_is_valid, .rule = "must match [a-z0-9][a-z0-9-]{0,62}" },
	{ "rights", BODY_T_ARRAY, BODY_REQUIRED, offsetof(struct role_create, rights), 0,
	  ROLE_GRANTS_MAX },
	{ NULL },
};

static bool is_built_in(struct str id)
{
	struct role_set *none = NULL;
	const struct role_def *d;
	bool yes;

	if (role_set_new(NULL, 0, &none) != OK)
		return true;
	d = role_set_find(none, id);
	yes = d != NULL;
	role_set_unref(none);
	return yes;
}

enum err op_role_create(struct ctl *c, struct request *r, struct fail *f)
{
	struct role_def d = { .version = 1 };
	struct role_grant *grants = NULL;
	struct role_create b;
	struct write w;
	enum err e = body_read(r, body_role_create, &b, sizeof b, f);

	if (e == OK)
		e = read_grants(r, b.rights.v, &grants, &d.n, f);
	if (e != OK)
		return e;
	d.id = b.id.v;
	d.name = b.name.set ? b.name.v : b.id.v;
	d.tenant = b.tenant.v;
	d.grants = grants;
	if (is_built_in(d.id))
		return fail_set(f, E_CONFLICT, "there is a built-in role with this id");
	e = check_holds(c, r, &d, f);
	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	role_insert(&w, &d);
	e = resource_create(c, r, &w, &d, f);
	return e == E_INVALID_FIELD ? body_invalid(f, "tenant", "does not exist") : e;
}

struct role_change {
	struct body_str name;
	struct body_json rights;
};
const struct body_field body_role_patch[] = {
	{ "name", BODY_T_STR, 0, offsetof(struct role_change, name), 1, ROLE_NAME_MAX },
	{ "rights", BODY_T_ARRAY, 0, offsetof(struct role_change, rights), 0, ROLE_GRANTS_MAX },
	{ NULL },
};

static enum err edit(struct ctl *c, struct request *r, struct write *w, void *row, const void *change,
    struct fail *f)
{
	const struct role_change *b = change;
	struct role_patch p = { .set_name = b->name.set, .name = b->name.v, .set_grants = b->rights.set };
	struct role_grant *grants = NULL;
	struct role_def *d = row;
	enum err e = read_grants(r, b->rights.v, &grants, &p.n, f);

	if (e == OK && d->built_in)
		e = fail_code(f, E_BUILT_IN);
	if (e != OK)
		return e;
	p.grants = grants;
	if (p.set_name)
		d->name = p.name;
	if (p.set_grants) {
		d->grants = p.grants;
		d->n = p.n;
		e = check_holds(c, r, d, f);
	}
	if (e != OK)
		return e;
	role_update(w, d->id, d->version++, &p);
	return OK;
}

const struct resource role_rows = {
	.size = sizeof(struct role_def), .by = PAGE_BY_TEXT, .key = offsetof(struct role_def, id),
	.version = offsetof(struct role_def, version), .taken = "there is a role with this id",
	.in_use = "the role is assigned to somebody",
	.write = role_write, .find = find, .list = list, .remove = take_away,
	.change = body_role_patch, .change_size = sizeof(struct role_change), .edit = edit,
};
