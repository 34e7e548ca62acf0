#include "rotation.h"

#include "api/key_rotation.h"
#include "base/clock.h"

static void run(struct pool_job *j)
{
	struct rotation *r = (struct rotation *)j;
	int64_t wait = key_rotation_run(r->ctl, clock_wall());

	atomic_store(&r->next, clock_mono() + wait);
}

void rotation_tick(struct rotation *r)
{
	int64_t next = atomic_load(&r->next);

	if (clock_mono() < next)
		return;
	r->job.run = run;
	atomic_store(&r->next, INT64_MAX);
	if (pool_submit(r->lane, &r->job) != OK) /* busy: at the next tick */
		atomic_store(&r->next, next);
}
