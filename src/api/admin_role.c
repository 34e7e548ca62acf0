/* /admin/roles and /admin/rights */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/page.h"
#include "api/user_reply.h"
#include "authz/decision.h"
#include "base/clock.h"
#include "iam/principal.h"
#include "iam/role.h"
#include "iam/tenant.h"
#include "iam/write.h"

/* ---- rights --------------------------------------------------------------------------------- */

enum err op_right_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct jsonw w = request_json(r, 200);

	(void)c, (void)f;
	jsonw_obj(&w);
	jsonw_key(&w, "items");
	jsonw_arr(&w);
	for (size_t i = 0; i < rights_count; i++) {
		jsonw_obj(&w);
		jsonw_kz(&w, "right", rights_all[i].name);
		jsonw_kstr_or_null(&w, "resource", str_c(rights_all[i].resource));
		jsonw_kz(&w, "help", rights_all[i].help);
		jsonw_obj_end(&w);
	}
	jsonw_arr_end(&w);
	jsonw_key(&w, "next_page_token");
	jsonw_null(&w);
	jsonw_obj_end(&w);
	return OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void role_write(struct jsonw *w, const struct role_def *d)
{
	jsonw_obj(w);
	jsonw_kstr(w, "id", d->id);
	jsonw_kstr(w, "name", d->name);
	jsonw_kstr_or_null(w, "tenant", d->tenant);
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

static enum err role_reply(struct request *r, int status, const struct role_def *d)
{
	struct jsonw w = request_json(r, status);

	role_write(&w, d);
	return etag_header(r, d->version);
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

enum err op_role_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct str tenant = request_query(r, "tenant"), last = STR_NONE;
	struct role_set *roles = NULL;
	struct page page;
	struct jsonw w;
	size_t n = 0;
	enum err e = page_read(r, false, &page, f);

	if (e == OK)
		e = role_set_load(c->store, &roles, f);
	if (e != OK)
		return e;
	w = page_begin(r);
	for (size_t i = 0; i < role_set_count(roles) && n <= page.size; i++) {
		const struct role_def *d = role_set_at(roles, i);

		if (!listed(d, tenant, page.after) || n++ == page.size)
			continue;
		role_write(&w, d);
		last = d->id;
	}
	page_end(&w, &page, n, last);
	role_set_unref(roles);
	return OK;
}

static void unref(void *roles)
{
	role_set_unref(roles);
}

/* The role of the path, alive as long as the request. */
static enum err role_of_path(struct ctl *c, struct request *r, const struct role_def **d,
    struct fail *f)
{
	struct role_set *roles = NULL;
	enum err e = role_set_load(c->store, &roles, f);

	if (e != OK)
		return e;
	if (request_on_finish(r, unref, roles) != OK)
		return fail_code(f, E_NOMEM);
	*d = role_set_find(roles, r->param[0]);
	return *d != NULL ? OK : fail_set(f, E_NOT_FOUND, "there is no such role");
}

enum err op_role_get(struct ctl *c, struct request *r, struct fail *f)
{
	const struct role_def *d;
	enum err e = role_of_path(c, r, &d, f);

	return e == OK ? role_reply(r, 200, d) : e;
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
	may = authz_may_grant(r->auth.principal, roles, d->tenant, d);
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
	e = role_reply(r, 201, &d);
	if (e == OK)
		e = commit(c, r, &w, f);
	if (e == E_INVALID_FIELD)
		return body_invalid(f, "tenant", "does not exist");
	return e == E_CONFLICT ? fail_set(f, e, "there is a role with this id") : e;
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

static enum err patch_once(struct ctl *c, struct request *r, const struct role_patch *p,
    struct fail *f)
{
	const struct role_def *was;
	struct role_def d;
	struct write w;
	enum err e = role_of_path(c, r, &was, f);

	if (e != OK)
		return e;
	if (was->built_in)
		return fail_code(f, E_BUILT_IN);
	d = *was;
	if (p->set_name)
		d.name = p->name;
	if (p->set_grants) {
		d.grants = p->grants;
		d.n = p->n;
	}
	e = etag_check(r, d.version, f);
	if (e == OK && p->set_grants)
		e = check_holds(c, r, &d, f);
	if (e != OK)
		return e;
	AUDIT_BEFORE(r, role_write, was);
	write_init(&w, &r->arena, clock_wall());
	role_update(&w, d.id, d.version, p);
	d.version++;
	e = role_reply(r, 200, &d);
	return e == OK ? commit(c, r, &w, f) : e;
}

enum err op_role_patch(struct ctl *c, struct request *r, struct fail *f)
{
	struct role_grant *grants = NULL;
	struct role_patch p = { 0 };
	struct role_change b;
	unsigned tries = 0;
	enum err e = body_read(r, body_role_patch, &b, sizeof b, f);

	if (e == OK)
		e = read_grants(r, b.rights.v, &grants, &p.n, f);
	if (e != OK)
		return e;
	p.set_name = b.name.set;
	p.name = b.name.v;
	p.set_grants = b.rights.set;
	p.grants = grants;
	do {
		e = patch_once(c, r, &p, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}

static enum err delete_once(struct ctl *c, struct request *r, struct fail *f)
{
	const struct role_def *d;
	struct write w;
	enum err e = role_of_path(c, r, &d, f);

	if (e == OK && d->built_in)
		return fail_code(f, E_BUILT_IN);
	if (e == OK)
		e = etag_check(r, d->version, f);
	if (e != OK)
		return e;
	AUDIT_BEFORE(r, role_write, d);
	write_init(&w, &r->arena, clock_wall());
	role_delete(&w, d->id, d->version);
	e = commit(c, r, &w, f);
	return e == E_CONFLICT ? fail_set(f, e, "the role is assigned to somebody") : e;
}

enum err op_role_delete(struct ctl *c, struct request *r, struct fail *f)
{
	unsigned tries = 0;
	enum err e;

	do {
		e = delete_once(c, r, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}
