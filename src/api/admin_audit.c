/* GET /admin/audit */
#include <inttypes.h>
#include <stdio.h>

#include "api/ctl.h"
#include "api/handlers.h"
#include "api/page.h"
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
	uint64_t before = 0;
	enum err e;

	*q = (struct audit_filter){ .tenant = request_query(r, "tenant"),
		.action = request_query(r, "action"), .by_actor = actor.p != NULL,
		.limit = page_limit(page) };
	if (q->by_actor && !id_parse(actor, &q->actor))
		return fail_set(f, E_INVALID_PARAMETER, "actor must be a UUID");
	if (page->after.p != NULL && !str_u64(page->after, INT64_MAX, &before))
		return fail_set(f, E_INVALID_PARAMETER, "page_token is not one of this list");
	q->before = (int64_t)before;
	e = time_of(r, "from", &q->from, f);
	return e == OK ? time_of(r, "to", &q->to, f) : e;
}

enum err op_audit_list(struct ctl *c, struct request *r, struct fail *f)
{
	struct audit_filter q;
	struct audit_row *rows;
	struct page page;
	struct jsonw w;
	char last[24] = "";
	size_t n, shown;
	enum err e = page_read(r, false, &page, f);

	if (e == OK)
		e = filter_of(r, &page, &q, f);
	if (e == OK)
		e = audit_list(c->store, &q, &r->arena, &rows, &n, f);
	if (e != OK)
		return e;
	shown = page_count(&page, n);
	w = page_begin(r);
	for (size_t i = 0; i < shown; i++)
		audit_record_write(&w, &rows[i].r, rows[i].prev, rows[i].hash);
	if (shown > 0)
		snprintf(last, sizeof last, "%" PRId64, rows[shown - 1].r.seq);
	page_end(&w, &page, n, str_c(last));
	return OK;
}
