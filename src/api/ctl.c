#include "api/ctl.h"

#include "base/clock.h"
#include "store/change.h"
#include "store/store.h"

enum err ctl_write(struct ctl *c, const struct store_stmt *stmts, unsigned n, struct fail *f)
{
	struct store_batch b = { .op_id = id_new(clock_wall()), .stmts = stmts, .n = n };

	return store_write(c->store, &b, NULL, f);
}

/* A change is acknowledged only when it holds here; when it can't be made to, the caller learns that it
 * was written but does not hold yet, so that it never reports a revocation that is not. */
#define SYNC_TIMEOUT (5 * CLOCK_SEC)

enum err ctl_sync(struct ctl *c, struct fail *f)
{
	enum err e = feed_sync(c->feed, SYNC_TIMEOUT);

	return e == OK ? OK : fail_set(f, e,
	    "the change is stored, but this gateway could not apply it in time");
}

enum err ctl_write_sync(struct ctl *c, const struct store_stmt *stmts, unsigned n, struct fail *f)
{
	enum err e = ctl_write(c, stmts, n, f);

	return e == OK ? ctl_sync(c, f) : e;
}
