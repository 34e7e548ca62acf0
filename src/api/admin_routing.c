/* /admin/routing: the document, its revisions, and what they resolve to. The document itself is
 * routing/table.h's business; what changes it is in admin_routing_change.c. */
#include <inttypes.h>
#include <stddef.h>

#include "api/bodies.h"
#include "api/ctl.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/routing_diff.h"
#include "api/routing_reply.h"
#include "routing/store_source.h"
#include "routing/table.h"

/* What workers route by. */
static enum err snapshot_reply(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *t = c->routes(c);
	enum err e = t != NULL ? routing_reply(r, t, f) : fail_code(f, E_NOT_READY);

	route_table_unref(t);
	return e;
}

enum err op_routing_get(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *t;
	enum err e;

	if (!c->routing_in_store)
		return snapshot_reply(c, r, f);
	e = routing_stored(c, &t, f);
	if (e == E_ROUTING_INVALID) { /* then the one before it is in force */
		fail_clear(f);
		return snapshot_reply(c, r, f);
	}
	if (e != OK)
		return e;
	e = routing_reply(r, t, f);
	route_table_unref(t);
	return e;
}

static void revision_write(struct jsonw *w, const struct route_revision *v)
{
	static const struct id nobody;

	jsonw_kint(w, "revision", v->revision);
	jsonw_ktime(w, "at", v->at);
	jsonw_key(w, "author");
	if (id_eq(v->author, nobody))
		jsonw_null(w);
	else
		jsonw_id(w, v->author);
	jsonw_kstr(w, "note", v->note);
}

static void write_row(struct jsonw *w, const void *row)
{
	jsonw_obj(w);
	revision_write(w, row);
	jsonw_obj_end(w);
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct route_revision *v = NULL;
	enum err e = route_revision_list(c->store, page->before, (size_t)page_limit(page), &r->arena, &v,
	    n, f);

	*rows = v;
	return e;
}

const struct resource revision_rows = {
	.size = sizeof(struct route_revision), .by = PAGE_BY_NUMBER,
	.key = offsetof(struct route_revision, revision), .write = write_row, .list = list,
};

static enum err number_of(struct str text, int64_t *out, struct fail *f)
{
	uint64_t n;

	if (!str_u64(text, INT64_MAX, &n) || n == 0)
		return fail_set(f, E_NOT_FOUND, "there is no such revision");
	*out = (int64_t)n;
	return OK;
}

enum err op_routing_revision(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *t = NULL;
	struct route_revision v;
	struct jsonw w;
	int64_t n = 0;
	enum err e = number_of(r->param[0], &n, f);

	if (e == OK)
		e = route_revision_get(c->store, n, &r->arena, &v, f);
	if (e == OK)
		e = route_revision_load(c->store, n, &t, f);
	if (e != OK)
		return e;
	w = request_json(r, 200);
	jsonw_obj(&w);
	revision_write(&w, &v);
	jsonw_key(&w, "document");
	e = route_table_write(t, &r->reply.buf);
	w.comma = true;
	jsonw_obj_end(&w);
	route_table_unref(t);
	return e == OK ? OK : fail_code(f, e);
}

static enum err load(struct ctl *c, struct str number, struct route_table **out, struct fail *f)
{
	int64_t n = 0;
	enum err e = number_of(number, &n, f);

	return e == OK ? route_revision_load(c->store, n, out, f) : e;
}

static enum err diff_reply(struct request *r, const struct route_table *a,
    const struct route_table *b, struct fail *f)
{
	struct route_diff d;
	struct jsonw w;
	enum err e = route_diff_make(a, b, &d);

	if (e == OK) {
		w = request_json(r, 200);
		jsonw_obj(&w);
		jsonw_kint(&w, "from", route_table_revision(a));
		jsonw_kint(&w, "to", route_table_revision(b));
		jsonw_key(&w, "changes");
		routing_diff_write(&w, &d);
		jsonw_obj_end(&w);
	}
	route_diff_release(&d);
	return e == OK ? OK : fail_code(f, e);
}

enum err op_routing_diff(struct ctl *c, struct request *r, struct fail *f)
{
	struct str from = request_query(r, "from"), to = request_query(r, "to");
	struct route_table *a = NULL, *b = NULL;
	enum err e;

	if (from.p == NULL)
		return fail_set(f, E_INVALID_PARAMETER, "from is required: a revision");
	e = load(c, from, &a, f);
	if (e == OK)
		e = to.p != NULL ? load(c, to, &b, f) : routing_stored(c, &b, f);
	if (e == OK)
		e = diff_reply(r, a, b, f);
	route_table_unref(a);
	route_table_unref(b);
	return e;
}

static void endpoints_write(struct jsonw *w, const struct route_shard *s)
{
	jsonw_key(w, "endpoints");
	jsonw_arr(w);
	for (size_t i = 0; i < s->n; i++) {
		jsonw_obj(w);
		jsonw_kstr(w, "url", s->endpoints[i].url);
		jsonw_kstr(w, "admin", s->endpoints[i].admin);
		jsonw_kint(w, "weight", s->endpoints[i].weight);
		jsonw_obj_end(w);
	}
	jsonw_arr_end(w);
}

enum err op_routing_resolve(struct ctl *c, struct request *r, struct fail *f)
{
	struct str tenant = request_query(r, "tenant"), kind = request_query(r, "kind");
	const struct route_shard *shard;
	struct route_table *t;
	enum route_kind k;
	struct jsonw w;

	if (tenant.p == NULL)
		return fail_set(f, E_INVALID_PARAMETER, "tenant is required");
	if (kind.p == NULL || !route_kind_parse(kind, &k))
		return fail_set(f, E_INVALID_PARAMETER, "kind must be aggregate, projection or runner");
	t = c->routes(c);
	shard = t != NULL ? route_resolve(t, k, tenant) : NULL;
	if (shard == NULL) {
		route_table_unref(t);
		return fail_set(f, E_NOT_FOUND, "the tenant has no %s placement", route_kind_name(k));
	}
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kstr(&w, "tenant", tenant);
	jsonw_kz(&w, "kind", route_kind_name(k));
	jsonw_kstr(&w, "shard", shard->name);
	endpoints_write(&w, shard);
	jsonw_kint(&w, "revision", route_table_revision(t));
	jsonw_obj_end(&w);
	route_table_unref(t);
	return OK;
}

enum err op_routing_reload(struct ctl *c, struct request *r, struct fail *f)
{
	enum err e = body_none(r, f);

	if (e == OK)
		e = c->reload_routing(c, f);
	return e == OK ? snapshot_reply(c, r, f) : e;
}
