#include "api/commit.h"

#include "api/audit_note.h"
#include "api/ctl.h"
#include "api/idempotency.h"
#include "iam/audit.h"
#include "iam/write.h"
#include "request/request.h"

/* The write with the audit record of its request, where that is to leave one. */
static enum err write_audited(struct ctl *c, struct request *r, struct write *w, struct fail *f)
{
	struct audit_record rec;
	enum err e;

	if (c->audit == NULL || !r->op->mutates || r->auth.principal == NULL)
		return ctl_write(c, w->st, w->n, f);
	audit_describe(r, OK, &rec);
	e = audit_commit(c->audit, w, &rec, f);
	r->audited = e == OK;
	return e;
}

enum err commit(struct ctl *c, struct request *r, struct write *w, struct fail *f)
{
	enum err e;

	idempotency_record(c, r, w);
	if (w->err != OK)
		return fail_code(f, w->err);
	e = write_audited(c, r, w, f);
	if (e == OK && w->changes)
		e = ctl_sync(c, f);
	if (e == E_IDEMPOTENCY_CONFLICT)
		return idempotency_answer(c, r, f);
	if (e != OK && f->err == OK)
		fail_code(f, e);
	return e;
}
