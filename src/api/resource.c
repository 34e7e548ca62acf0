#include "api/resource.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/audit_note.h"
#include "api/body.h"
#include "api/commit.h"
#include "api/etag.h"
#include "base/clock.h"
#include "iam/write.h"
#include "request/request.h"

#define NUMBER_LEN 24

static int64_t number_at(const void *row, size_t offset)
{
	int64_t v;

	memcpy(&v, (const char *)row + offset, sizeof v);
	return v;
}

static int64_t version_of(const struct resource *of, const void *row)
{
	return of->version != 0 ? number_at(row, of->version) : RESOURCE_FIXED;
}

static enum err reply(struct request *r, int status, const void *row)
{
	struct jsonw w = request_json(r, status);

	r->op->of->write(&w, row);
	return etag_header(r, version_of(r->op->of, row));
}

/* What the error of a commit means for this kind. */
static enum err explain(enum err e, const char *conflict, struct fail *f)
{
	return e == E_CONFLICT && conflict != NULL ? fail_set(f, e, "%s", conflict) : e;
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum err find(struct ctl *c, struct request *r, void **row, struct fail *f)
{
	*row = arena_alloc(&r->arena, r->op->of->size);
	return *row != NULL ? r->op->of->find(c, r, *row, f) : fail_code(f, E_NOMEM);
}

enum err op_resource_get(struct ctl *c, struct request *r, struct fail *f)
{
	void *row;
	enum err e = find(c, r, &row, f);

	return e == OK ? reply(r, 200, row) : e;
}

static struct str key_of(const struct resource *of, const void *row, char text[NUMBER_LEN])
{
	const char *at = (const char *)row + of->key;
	struct str s;

	switch (of->by) {
	case PAGE_BY_ID:
		return str_n(at, sizeof(struct id));
	case PAGE_BY_NUMBER:
		snprintf(text, NUMBER_LEN, "%" PRId64, number_at(row, of->key));
		return str_c(text);
	case PAGE_BY_TEXT:
	default:
		memcpy(&s, at, sizeof s);
		return s;
	}
}

enum err op_resource_list(struct ctl *c, struct request *r, struct fail *f)
{
	const struct resource *of = r->op->of;
	struct str last = STR_NONE;
	char text[NUMBER_LEN];
	struct page page;
	struct jsonw w;
	void *rows = NULL;
	size_t n = 0;
	enum err e = page_read(r, of->by, &page, f);

	if (e == OK)
		e = of->list(c, r, &page, &rows, &n, f);
	if (e != OK)
		return e;
	w = page_begin(r);
	for (size_t i = 0; i < page_count(&page, n); i++) {
		const char *row = (const char *)rows + i * of->size;

		of->write(&w, row);
		last = key_of(of, row, text);
	}
	page_end(&w, &page, n, last);
	return OK;
}

/* ---- changing ------------------------------------------------------------------------------- */

enum err resource_create(struct ctl *c, struct request *r, struct write *w, const void *row,
    struct fail *f)
{
	enum err e = reply(r, 201, row);

	return e == OK ? explain(commit(c, r, w, f), r->op->of->taken, f) : e;
}

static enum err find_version(struct ctl *c, struct request *r, void **row, struct fail *f)
{
	enum err e = find(c, r, row, f);

	return e == OK ? etag_check(r, version_of(r->op->of, *row), f) : e;
}

static enum err change_once(struct ctl *c, struct request *r, const void *change, struct fail *f)
{
	struct str before;
	struct write w;
	void *row;
	enum err e = find_version(c, r, &row, f);

	if (e != OK)
		return e;
	before = audit_row(r, r->op->of->write, row);
	write_init(&w, &r->arena, clock_wall());
	e = r->op->of->edit(c, r, &w, row, change, f);
	if (e == OK)
		e = reply(r, 200, row);
	if (e != OK || w.n == 0)
		return e;
	r->audit_before = before;
	return explain(commit(c, r, &w, f), r->op->of->taken, f);
}

enum err op_resource_change(struct ctl *c, struct request *r, struct fail *f)
{
	const struct resource *of = r->op->of;
	void *change = arena_alloc(&r->arena, of->change_size);
	unsigned tries = 0;
	enum err e = change != NULL ? body_read(r, of->change, change, of->change_size, f) :
	    fail_code(f, E_NOMEM);

	if (e != OK)
		return e;
	do {
		e = change_once(c, r, change, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}

static enum err delete_once(struct ctl *c, struct request *r, struct fail *f)
{
	struct write w;
	void *row;
	enum err e = find_version(c, r, &row, f);

	if (e != OK)
		return e;
	write_init(&w, &r->arena, clock_wall());
	e = r->op->of->remove(c, r, &w, row, f);
	if (e != OK)
		return e;
	r->audit_before = audit_row(r, r->op->of->write, row);
	return explain(commit(c, r, &w, f), r->op->of->in_use, f);
}

enum err op_resource_delete(struct ctl *c, struct request *r, struct fail *f)
{
	unsigned tries = 0;
	enum err e;

	do {
		e = delete_once(c, r, f);
	} while (etag_again(r, e, &tries, f));
	return e;
}
