/* PUT /admin/routing and rollback: a new document, or a patch of the one in force, becomes the next
 * revision. What is stored and audited is what differs, so a change costs what it changes, however
 * large the document is; only an answer that shows the document costs the document. */
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>

#include "api/bodies.h"
#include "api/commit.h"
#include "api/ctl.h"
#include "api/etag.h"
#include "api/handlers.h"
#include "api/routing_reply.h"
#include "base/clock.h"
#include "base/config.h"
#include "iam/audit_record.h"
#include "iam/principal.h"
#include "iam/write.h"
#include "routing/difference.h"
#include "routing/document.h"
#include "routing/store_source.h"
#include "routing/table.h"

#define AUDITED 500 /* differences that an audit record shows; past it, only how many */

/* The newest revision. */
struct now {
	struct route_table *t; /* empty when what is stored can't be used */
	bool usable;
	int64_t revision, at;
};

static enum err refuse_elsewhere(const struct ctl *c, struct fail *f)
{
	return c->routing_in_store ? OK : fail_set(f, E_CONFLICT, "routing.source is %s: change it there",
	    c->config->routing_source);
}

/* What a newer release has written, say: a whole document may take its place. */
static enum err not_usable(struct ctl *c, struct request *r, struct now *now, struct fail *f)
{
	struct route_revision newest;
	enum err e;

	fail_clear(f);
	e = route_revision_get(c->store, 0, &r->arena, &newest, f);
	if (e != OK)
		return e;
	now->revision = newest.revision;
	now->at = newest.at;
	return route_table_empty(&now->t) == OK ? OK : fail_code(f, E_NOMEM);
}

/* now->t is a reference, and may be set also on failure. */
static enum err look(struct ctl *c, struct request *r, struct now *now, struct fail *f)
{
	enum err e;

	*now = (struct now){ 0 };
	e = routing_stored(c, &now->t, f);
	if (e == E_ROUTING_INVALID)
		return not_usable(c, r, now, f);
	if (e != OK)
		return e;
	now->usable = true;
	now->revision = route_table_revision(now->t);
	now->at = route_table_origin(now->t)->at;
	return OK;
}

/* ---- becoming the next revision -------------------------------------------------------------- */

static struct str audited(struct request *r, const struct route_diff *d, enum route_side side,
    int64_t revision)
{
	struct buf text;
	struct jsonw w;
	struct str out;

	buf_init(&text, ROUTE_DOCUMENT_MAX);
	w = jsonw_on(&text);
	if (d->n <= AUDITED) {
		(void)route_diff_write(d, side, revision, &text);
	} else {
		jsonw_obj(&w);
		jsonw_kint(&w, "revision", revision);
		jsonw_kint(&w, "changes", (int64_t)d->n);
		jsonw_obj_end(&w);
	}
	out = audit_json(buf_str(&text), &r->arena);
	buf_release(&text);
	return out;
}

/* The text that is stored: what differs, unless that is most of the document. */
static enum err stored_text(const struct now *now, const struct route_table *next,
    const struct route_diff *d, bool *patch, struct buf *text)
{
	*patch = now->usable && now->revision > 0 && d->n <= route_table_size(next) / 2;
	return *patch ? route_diff_write(d, ROUTE_PATCH, route_table_revision(next), text)
	    : route_table_write(next, text);
}

static enum err store(struct ctl *c, struct request *r, const struct route_put *p, struct fail *f)
{
	struct route_put_vals vals;
	struct store_stmt stmts[ROUTE_PUT_STMTS];
	unsigned n = route_put_stmts(p, &vals, stmts);
	struct write w;

	write_init(&w, &r->arena, p->now);
	for (unsigned i = 0; i < n; i++)
		write_add(&w, &stmts[i]);
	w.changes = true;
	return commit(c, r, &w, f);
}

static enum err put(struct ctl *c, struct request *r, const struct now *now,
    const struct route_table *next, struct str note, struct fail *f)
{
	struct route_put p = { .base_at = now->at, .revision = route_table_revision(next),
		.author = &r->auth.principal->id, .note = note, .now = clock_wall() };
	struct route_diff d;
	struct buf text;
	enum err e = route_diff_make(now->t, next, &d);

	buf_init(&text, ROUTE_DOCUMENT_MAX);
	if (e == OK)
		e = stored_text(now, next, &d, &p.patch, &text);
	if (e == OK) {
		r->audit_before = audited(r, &d, ROUTE_BEFORE, now->revision);
		r->audit_after = audited(r, &d, ROUTE_AFTER, p.revision);
		p.document = buf_str(&text);
		e = store(c, r, &p, f);
	} else {
		fail_code(f, e);
	}
	route_diff_release(&d);
	buf_release(&text);
	return e;
}

/* ---- PUT ------------------------------------------------------------------------------------- */

static bool is_merge_patch(const struct request *r)
{
	struct str params, type = request_known(r, HDR_CONTENT_TYPE);

	return str_ieq(str_trim(str_cut(type, ';', &params)), STR("application/merge-patch+json"));
}

static enum err check_revision(const struct route_doc *d, int64_t now, struct fail *f)
{
	if (!d->has_revision || d->revision == now + 1)
		return OK; /* what is no number at all, the table refuses */
	fail_set(f, E_REVISION_CONFLICT, "the revision must be %" PRId64, now + 1);
	fail_details_take(f, json_pack("{s:I}", "current", (json_int_t)now));
	return E_REVISION_CONFLICT;
}

static enum err check_document(const struct request *r, struct route_doc *d, const struct now *now,
    struct fail *f)
{
	if (!d->is_object)
		return fail_set(f, E_BAD_JSON, "the body must be an object");
	if (d->patch && !now->usable)
		return fail_set(f, E_ROUTING_INVALID, "the document in the store can't be used by this "
		    "release, and so not be patched: put a whole one");
	/* If-Match says which revision the caller means, so the document need not */
	if (request_known(r, HDR_IF_MATCH).p != NULL && !d->has_revision && !d->odd_revision) {
		d->has_revision = true;
		d->revision = now->revision + 1;
	}
	return check_revision(d, now->revision, f);
}

/* The table that the body asks for. */
static enum err wanted(struct request *r, const struct now *now, struct route_table **out,
    struct fail *f)
{
	struct route_doc d;
	enum err e;

	if (r->body.n == 0)
		return fail_set(f, E_BAD_JSON, "line 1 column 1: the body is empty");
	e = route_doc_read(r->body.p, r->body.n, is_merge_patch(r), &d, f);
	if (e != OK)
		return e;
	e = check_document(r, &d, now, f);
	if (e == OK)
		e = route_table_build(now->t, &d, out, f);
	route_doc_release(&d);
	return e;
}

enum err op_routing_put(struct ctl *c, struct request *r, struct fail *f)
{
	struct now now = { 0 };
	struct route_table *next = NULL;
	enum err e = refuse_elsewhere(c, f);

	if (e == OK)
		e = look(c, r, &now, f);
	if (e == OK)
		e = etag_check(r, now.revision, f);
	if (e == OK)
		e = wanted(r, &now, &next, f);
	if (e == OK)
		e = put(c, r, &now, next, STR_NONE, f);
	if (e == OK) /* the change holds already: who waits for it need not wait for the answer */
		e = routing_reply(r, next, f);
	route_table_unref(now.t);
	route_table_unref(next);
	return e;
}

/* ---- rollback -------------------------------------------------------------------------------- */

struct rollback {
	struct body_int revision;
};
const struct body_field body_rollback[] = {
	{ "revision", BODY_T_INT, BODY_REQUIRED, offsetof(struct rollback, revision), 1 },
	{ NULL },
};

/* The answer comes first: it is kept for the request's Idempotency-Key. */
static enum err put_old(struct ctl *c, struct request *r, const struct now *now,
    struct route_table *old, struct fail *f)
{
	char *note = arena_printf(&r->arena, "rollback to revision %" PRId64, route_table_revision(old));
	enum err e;

	if (note == NULL)
		return fail_code(f, E_NOMEM);
	route_table_renumber(old, now->revision + 1);
	e = routing_reply(r, old, f);
	return e == OK ? put(c, r, now, old, str_c(note), f) : e;
}

enum err op_routing_rollback(struct ctl *c, struct request *r, struct fail *f)
{
	struct route_table *old = NULL;
	struct now now = { 0 };
	struct rollback b;
	enum err e = body_read(r, body_rollback, &b, sizeof b, f);

	if (e == OK)
		e = refuse_elsewhere(c, f);
	if (e == OK)
		e = look(c, r, &now, f);
	if (e == OK)
		e = route_revision_load(c->store, b.revision.v, &old, f);
	if (e == OK)
		e = put_old(c, r, &now, old, f);
	route_table_unref(now.t);
	route_table_unref(old);
	return e;
}
