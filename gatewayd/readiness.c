#include "readiness.h"

#include <stdatomic.h>

#include "base/log.h"
#include "store/store.h"

static void look_at_disk(struct readiness *r, struct store *s)
{
	bool ok = store_writable(s);

	if (atomic_exchange(&r->writable, ok) == ok)
		return;
	if (ok)
		log_info("the store can be written again");
	else
		log_error("the store can't be written: its disk is full, or fails");
}

void readiness_tick(struct readiness *r, struct store *s, int64_t age, int64_t most)
{
	if (age < most)
		atomic_store(&r->fresh, true);
	else if (atomic_exchange(&r->fresh, false))
		log_error("state is stale: decisions fail closed until the store answers");
	look_at_disk(r, s);
}

const char *readiness_failing(const struct readiness *r)
{
	if (atomic_load(&r->draining))
		return "draining";
	return atomic_load(&r->fresh) && atomic_load(&r->writable) ? NULL : "store";
}
