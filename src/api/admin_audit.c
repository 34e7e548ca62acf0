/* GET /admin/audit */
#include <stddef.h>

#include "api/ctl.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "base/clock.h"
#include "iam/audit.h"

static enum err time_of(struct request *r, const char *name, int64_t *out, struct fail *f)
{
	struct str s = request_query(r, name);

	if (s.p == NULL || clock_parse_rfc3339(s, out))
		return OK;
	return fail_set(f, E_INVALID_PARAMETER, "%s must be a time as in RFC 3339", name);
}

static enum err filter_of(struct request *r, const struct page *page, struct audit_filter *q,
    struct fail *f)
{
	struct str actor = request_query(r, "actor");
	enum err e;

	*q = (struct audit_filter){ .tenant = request_query(r, "tenant"),
		.action = request_query(r, "action"), .by_actor = actor.p != NULL,
		.before = page->before, .limit = page_limit(page) };
	if (q->by_actor && !id_parse(actor, &q->actor))
		return fail_set(f, E_INVALID_PARAMETER, "actor must be a UUID");
	e = time_of(r, "from", &q->from, f);
	return e == OK ? time_of(r, "to", &q->to, f) : e;
}

static void write_row(struct jsonw *w, const void *row)
{
	const struct audit_row *a = row;

	audit_record_write(w, &a->r, a->prev, a->hash);
}

static enum err list(struct ctl *c, struct request *r, const struct page *page, void **rows,
    size_t *n, struct fail *f)
{
	struct audit_row *a = NULL;
	struct audit_filter q;
	enum err e = filter_of(r, page, &q, f);

	if (e == OK)
		e = audit_list(c->store, &q, &r->arena, &a, n, f);
	*rows = a;
	return e;
}

const struct resource audit_rows = {
	.size = sizeof(struct audit_row), .by = PAGE_BY_NUMBER, .key = offsetof(struct audit_row, r.seq),
	.write = write_row, .list = list,
};
