/* /admin/tenants */
#include <stddef.h>

#include "api/audit_note.h"
#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/page.h"
#include "base/clock.h"
#include "iam/tenant.h"
#include "iam/write.h"

static void tenant_write(struct jsonw *w, const struct tenant *t)
{
	jsonw_obj(w);
	jsonw_kstr(w, "id", t->id);
	jsonw_kstr(w, "name", t->name);
	jsonw_ktime(w, "created_at", t->created_at);
	jsonw_ktime(w, "updated_at", t->updated_at);
	etag_write(w, t->version);
	jsonw_obj_end(w);
}

static enum err tenant_reply(struct request *r, int status, const struct tenant *t)
{
	struct jsonw w = request_json(r, status);

	tenant_write(&w, t);
	return etag_header(r, t->version);
}

enum err op_tenant_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct str only = request_query(r, "tenant");
	struct tenant one, *t = &one;
	struct page page;
	struct jsonw w;
	size_t n = 1, shown;
	enum err e = page_read(r, false, &page, f);

	if (e != OK)
		return e;
	if (only.p != NULL)
		e = tenant_by_id(c->store, STORE_FRESH, only, &r->arena, &one, f);
	else
		e = tenant_list(c->store, page.after, page_limit(&page), &r->arena, &t, &n, f);
	if (e == E_NOT_FOUND) {
		fail_clear(f);
		n = 0;
		e = OK;
	}
	if (e != OK)
		return e;
	shown = page_count(&page, n);
	w = page_begin(r);
	for (size_t i = 0; i < shown; i++)
		tenant_write(&w, &t[i]);
	page_end(&w, &page, n, shown > 0 ? t[shown - 1].id : STR_NONE);
	return OK;
}

enum err op_tenant_get(struct ctl *c, struct request *r, struct fail *f)
{
	struct tenant t;
	enum err e = tenant_by_id(c->store, STORE_LINEAR, r->param[0], &r->arena, &t, f);

	return e == OK ? tenant_reply(r, 200, &t) : e;
}

/* ---- changes -------------------------------------------------------------------------------- */

struct tenant_create {
	struct body_str id, name;
};
const struct body_field body_tenant_create[] = {
	{ "id", BODY_T_STR, BODY_REQUIRED, offsetof(struct tenant_create, id), 1, TENANT_ID_MAX,
	  .check = tenant_id_is_valid, .rule = "must match [a-z0-9][a-z0-9-]{0,62}" },
	{ "name", BODY_T_STR, 0, offsetof(struct tenant_create, name), 1, TENANT_NAME_MAX },
	{ NULL },
};

enum err op_tenant_create(struct ctl *c, struct request *r, struct fail *f)
{
	int64_t now = clock_wall();
	struct tenant t = { .version = 1, .created_at = now, .updated_at = now };
	struct tenant_create b;
	struct write w;
	enum err e = body_read(r, body_tenant_create, &b, sizeof b, f);

	if (e != OK)
		return e;
	t.id = b.id.v;
	t.name = b.name.set ? b.name.v : b.id.v;
	write_init(&w, &r->arena, now);
	tenant_insert(&w, t.id, t.name);
	e = tenant_reply(r, 201, &t);
	if (e == OK)
		e = commit(c, r, &w, f);
	return e == E_CONFLICT ? fail_set(f, e, "there is a tenant with this id") : e;
}

struct tenant_patch {
	struct body_str name;
};
const struct body_field body_tenant_patch[] = {
	{ "name", BODY_T_STR, 0, offsetof(struct tenant_patch, name), 1, TENANT_NAME_MAX },
	{ NULL },
};

static enum err patch_once(struct ctl *c, struct request *r, const struct tenant_patch *b,
    struct fail *f)
{
	struct tenant t;
	struct write w;
	enum err e = tenant_by_id(c->store, STORE_LINEAR, r->param[0], &r->arena, &t, f);

	if (e == OK)
		e = etag_check(r, t.version, f);
	if (e != OK || !b->name.set)
		return e != OK ? e : tenant_reply(r, 200, &t);
	AUDIT_BEFORE(r, tenant_write, &t);
	write_init(&w, &r->arena, clock_wall());
	tenant_rename(&w, t.id, t.version, b->name.v);
	t.name = b->name.v;
	t.updated_at = w.now;
	t.version++;
	e = tenant_reply(r, 200, &t);
	return e == OK ? commit(c, r, &w, f) : e;
}

enum err op_tenant_patch(struct ctl *c, struct request *r, struct fail *f)
{
	struct tenant_patch b;
	unsigned tries = 0;
	enum err e = body_read(r, body_tenant_patch, &b, sizeof b, f);

	if (e != OK)
		return e;
	do {
		e = patch_once(c, r, &b, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}

static enum err delete_once(struct ctl *c, struct request *r, struct fail *f)
{
	struct tenant t;
	struct write w;
	enum err e = tenant_by_id(c->store, STORE_LINEAR, r->param[0], &r->arena, &t, f);

	if (e == OK)
		e = etag_check(r, t.version, f);
	if (e != OK)
		return e;
	AUDIT_BEFORE(r, tenant_write, &t);
	write_init(&w, &r->arena, clock_wall());
	tenant_delete(&w, t.id, t.version);
	e = commit(c, r, &w, f);
	return e == E_CONFLICT ? fail_set(f, e, "roles or service accounts belong to the tenant") : e;
}

enum err op_tenant_delete(struct ctl *c, struct request *r, struct fail *f)
{
	unsigned tries = 0;
	enum err e;

	do {
		e = delete_once(c, r, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}
