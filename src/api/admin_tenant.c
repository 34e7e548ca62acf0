/* /admin/tenants */
#include <stddef.h>

#include "api/bodies.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "base/clock.h"
#include "iam/tenant.h"
#include "iam/write.h"

static void tenant_write(struct jsonw *w, const void *row)
{
	const struct tenant *t = row;

	jsonw_obj(w);
	jsonw_kstr(w, "id", t->id);
	jsonw_kstr(w, "name", t->name);
	jsonw_kbool(w, "disabled", t->disabled);
	jsonw_ktime(w, "created_at", t->created_at);
	jsonw_ktime(w, "updated_at", t->updated_at);
	etag_write(w, t->version);
	jsonw_obj_end(w);
}

static enum err find(struct ctl *c, struct request *r, void *row, struct fail *f)
{
	return tenant_by_id(c->store, STORE_LINEAR, r->param[0], &r->arena, row, f);
}

/* With ?tenant=: that one, or none. */
static enum err list_one(struct ctl *c, struct request *r, struct str id, void **rows, size_t *n,
    struct fail *f)
{
	enum err e;

	*rows = arena_alloc(&r->arena, sizeof(struct tenant));
	if (*rows == NULL)
		return fail_code(f, E_NOMEM);
	e = tenant_by_id(c->store, STORE_FRESH, id, &r->arena, *rows, f);
	*n = e == OK;
	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	return OK;
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct str only = request_query(r, "tenant");
	struct tenant *t = NULL;
	enum err e;

	if (only.p != NULL)
		return list_one(c, r, only, rows, n, f);
	e = tenant_list(c->store, page->after, page_limit(page), &r->arena, &t, n, f);
	*rows = t;
	return e;
}

static enum err take_away(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	const struct tenant *t = row;

	(void)c, (void)r, (void)f;
	tenant_delete(w, t->id, t->version);
	return OK;
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
	return resource_create(c, r, &w, &t, f);
}

struct tenant_change {
	struct body_str name;
	struct body_bool disabled;
};
const struct body_field body_tenant_patch[] = {
	{ "name", BODY_T_STR, 0, offsetof(struct tenant_change, name), 1, TENANT_NAME_MAX },
	{ "disabled", BODY_T_BOOL, 0, offsetof(struct tenant_change, disabled) },
	{ NULL },
};

static enum err edit(struct ctl *c, struct request *r, struct write *w, void *row, const void *change,
    struct fail *f)
{
	const struct tenant_change *b = change;
	struct tenant_patch p = { .name = b->name.v, .set_disabled = b->disabled.set,
		.disabled = b->disabled.v };
	struct tenant *t = row;

	(void)c, (void)r, (void)f;
	if (!b->name.set && !b->disabled.set)
		return OK;
	tenant_update(w, t->id, t->version, &p);
	if (b->name.set)
		t->name = b->name.v;
	if (b->disabled.set)
		t->disabled = b->disabled.v;
	t->updated_at = w->now;
	t->version++;
	return OK;
}

const struct resource tenant_rows = {
	.size = sizeof(struct tenant), .by = PAGE_BY_TEXT, .key = offsetof(struct tenant, id),
	.version = offsetof(struct tenant, version), .taken = "there is a tenant with this id",
	.in_use = "roles or service accounts belong to the tenant",
	.write = tenant_write, .find = find, .list = list, .remove = take_away,
	.change = body_tenant_patch, .change_size = sizeof(struct tenant_change), .edit = edit,
};
