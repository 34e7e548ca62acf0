/* /admin/routing: the document, its revisions, and what they resolve to. The document itself is
 * routing/table.h's business. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/routing_diff.h"
#include "api/user_reply.h"
#include "base/clock.h"
#include "base/config.h"
#include "iam/audit_record.h"
#include "iam/principal.h"
#include "iam/write.h"
#include "routing/store_source.h"
#include "routing/table.h"

#define DOCUMENT_MAX (64u << 20)

/* Revision 0 when there is none yet. */
static enum err current(struct ctl *c, struct request *r, struct route_revision *out, struct fail *f)
{
	enum err e = route_revision_get(c->store, 0, &r->arena, out, f);

	if (e != E_NOT_FOUND)
		return e;
	fail_clear(f);
	*out = (struct route_revision){ .document = STR("{\"revision\":0}") };
	return OK;
}

static enum err document_reply(struct request *r, struct str document, int64_t revision)
{
	struct jsonw w = request_json(r, 200);

	jsonw_raw(&w, document);
	return etag_header(r, revision);
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum err snapshot_reply(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *t = c->routes(c);
	enum err e;

	if (t == NULL)
		return fail_code(f, E_NOT_READY);
	(void)request_json(r, 200);
	e = route_table_write(t, &r->reply.buf);
	if (e == OK)
		e = etag_header(r, route_table_revision(t));
	route_table_unref(t);
	return e;
}

enum err op_routing_get(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_revision now;
	enum err e;

	if (!c->routing_in_store)
		return snapshot_reply(c, r, f);
	e = current(c, r, &now, f);
	return e == OK ? document_reply(r, now.document, now.revision) : e;
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
	jsonw_kstr_or_null(w, "note", v->note);
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

static enum err revision_of(struct ctl *c, struct request *r, struct str text,
    struct route_revision *out, struct fail *f)
{
	uint64_t n;

	if (!str_u64(text, INT64_MAX, &n) || n == 0)
		return fail_set(f, E_NOT_FOUND, "there is no such revision");
	return route_revision_get(c->store, (int64_t)n, &r->arena, out, f);
}

enum err op_routing_revision(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_revision v;
	struct jsonw w;
	enum err e = revision_of(c, r, r->param[0], &v, f);

	if (e != OK)
		return e;
	w = request_json(r, 200);
	jsonw_obj(&w);
	revision_write(&w, &v);
	jsonw_key(&w, "document");
	jsonw_raw(&w, v.document);
	jsonw_obj_end(&w);
	return OK;
}

enum err op_routing_diff(struct ctl *c, struct request *r, struct fail *f)
{
	struct str from = request_query(r, "from"), to = request_query(r, "to");
	struct route_revision a, b;
	struct jsonw w;
	enum err e;

	if (from.p == NULL)
		return fail_set(f, E_INVALID_PARAMETER, "from is required: a revision");
	e = revision_of(c, r, from, &a, f);
	if (e == OK)
		e = to.p != NULL ? revision_of(c, r, to, &b, f) : current(c, r, &b, f);
	if (e != OK)
		return e;
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_kint(&w, "from", a.revision);
	jsonw_kint(&w, "to", b.revision);
	jsonw_key(&w, "changes");
	e = routing_diff_write(&w, a.document, b.document);
	jsonw_obj_end(&w);
	return e == OK ? OK : fail_code(f, e);
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

/* ---- changing ------------------------------------------------------------------------------- */

/* RFC 7396: null removes, objects merge, anything else replaces. Borrows both; a new reference. */
static json_t *merge(const json_t *target, json_t *patch)
{
	json_t *out, *v;
	const char *name;

	if (!json_is_object(patch))
		return json_incref(patch);
	out = json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
	json_object_foreach(patch, name, v) {
		if (json_is_null(v))
			json_object_del(out, name);
		else
			json_object_set_new(out, name, merge(json_object_get(out, name), v));
	}
	return out;
}

static bool is_merge_patch(const struct request *r)
{
	struct str params, type = request_known(r, HDR_CONTENT_TYPE);

	return str_ieq(str_trim(str_cut(type, ';', &params)), STR("application/merge-patch+json"));
}

/* The document that the request asks for; a new reference. */
static enum err wanted(struct request *r, const struct route_revision *now, json_t **doc, struct fail *f)
{
	json_t *body = NULL, *base;
	enum err e = body_document(r, &body, f);

	if (e != OK)
		return e;
	if (!json_is_object(body))
		return fail_set(f, E_BAD_JSON, "the body must be an object");
	if (is_merge_patch(r)) {
		base = json_loadb(now->document.p, now->document.n, 0, NULL);
		json_object_del(base, "revision");
		*doc = merge(base, body);
		json_decref(base);
	} else {
		*doc = json_copy(body);
	}
	if (*doc == NULL)
		return fail_code(f, E_NOMEM);
	/* If-Match says which revision the caller means, so the document need not */
	if (request_known(r, HDR_IF_MATCH).p != NULL && json_object_get(*doc, "revision") == NULL)
		json_object_set_new(*doc, "revision", json_integer(now->revision + 1));
	return OK;
}

static enum err check_revision(const json_t *doc, int64_t now, struct fail *f)
{
	const json_t *v = json_object_get(doc, "revision");

	if (!json_is_integer(v) || json_integer_value(v) == now + 1)
		return OK; /* what is no integer at all, the table refuses */
	fail_set(f, E_REVISION_CONFLICT, "the revision must be %" PRId64, now + 1);
	fail_details_take(f, json_pack("{s:I}", "current", (json_int_t)now));
	return E_REVISION_CONFLICT;
}

/* Validates, stores, answers with the document as it is then in force. */
static enum err put(struct ctl *c, struct request *r, const json_t *doc, struct str note,
    struct fail *f)
{
	struct route_put_vals vals;
	struct store_stmt stmts[ROUTE_PUT_STMTS];
	struct route_table *t = NULL;
	struct buf text;
	struct write w;
	enum err e = route_table_new(doc, &t, f);

	if (e != OK)
		return e;
	buf_init(&text, DOCUMENT_MAX);
	e = route_table_write(t, &text);
	if (e == OK)
		e = buf_err(&text);
	if (e != OK) {
		fail_code(f, e);
		goto out;
	}
	write_init(&w, &r->arena, clock_wall());
	route_put_stmts(route_table_revision(t), buf_str(&text), &r->auth.principal->id, note, w.now,
	    &vals, stmts);
	for (size_t i = 0; i < ROUTE_PUT_STMTS; i++)
		write_add(&w, &stmts[i]);
	w.changes = true;
	e = document_reply(r, buf_str(&text), route_table_revision(t));
	if (e == OK)
		e = commit(c, r, &w, f);
out:
	buf_release(&text);
	route_table_unref(t);
	return e;
}

static enum err refuse_elsewhere(const struct ctl *c, struct fail *f)
{
	return c->routing_in_store ? OK : fail_set(f, E_CONFLICT, "routing.source is %s: change it there",
	    c->config->routing_source);
}

enum err op_routing_put(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_revision now;
	json_t *doc = NULL;
	enum err e = refuse_elsewhere(c, f);

	if (e == OK)
		e = current(c, r, &now, f);
	if (e == OK)
		e = etag_check(r, now.revision, f);
	if (e == OK)
		e = wanted(r, &now, &doc, f);
	if (e == OK)
		e = check_revision(doc, now.revision, f);
	if (e == OK) {
		r->audit_before = audit_json(now.document, &r->arena);
		e = put(c, r, doc, STR_NONE, f);
	}
	json_decref(doc);
	return e;
}

struct rollback {
	struct body_int revision;
};
const struct body_field body_rollback[] = {
	{ "revision", BODY_T_INT, BODY_REQUIRED, offsetof(struct rollback, revision), 1 },
	{ NULL },
};

enum err op_routing_rollback(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_revision now, old;
	json_t *doc = NULL;
	struct rollback b;
	char *note;
	enum err e = body_read(r, body_rollback, &b, sizeof b, f);

	if (e == OK)
		e = refuse_elsewhere(c, f);
	if (e == OK)
		e = current(c, r, &now, f);
	if (e == OK)
		e = route_revision_get(c->store, b.revision.v, &r->arena, &old, f);
	if (e != OK)
		return e;
	doc = json_loadb(old.document.p, old.document.n, 0, NULL);
	note = arena_printf(&r->arena, "rollback to revision %" PRId64, old.revision);
	if (doc == NULL || note == NULL) {
		json_decref(doc);
		return fail_code(f, E_NOMEM);
	}
	json_object_set_new(doc, "revision", json_integer(now.revision + 1));
	r->audit_before = audit_json(now.document, &r->arena);
	e = put(c, r, doc, str_c(note), f);
	json_decref(doc);
	return e;
}

enum err op_routing_reload(struct ctl *c, struct request *r, struct fail *f)
{
	enum err e = body_none(r, f);

	if (e == OK)
		e = c->reload_routing(c, f);
	return e == OK ? snapshot_reply(c, r, f) : e;
}
