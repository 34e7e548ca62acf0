#include "api/commit.h"

#include "api/ctl.h"
#include "api/idempotency.h"
#include "iam/write.h"
#include "request/request.h"

enum err commit(struct ctl *c, struct request *r, struct write *w, struct fail *f)
{
	enum err e;

	idempotency_record(c, r, w);
	if (w->err != OK)
		return fail_code(f, w->err);
	e = w->changes ? ctl_write_sync(c, w->st, w->n, f) : ctl_write(c, w->st, w->n, f);
	if (e == E_IDEMPOTENCY_CONFLICT)
		return idempotency_answer(c, r, f);
	if (e != OK && f->err == OK)
		fail_code(f, e);
	return e;
}
