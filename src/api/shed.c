#include "api/shed.h"

#include "base/clock.h"

struct held {
	struct loop_timer timer;
	struct request *r;
};

/* A client that has gone meanwhile does not matter: its answer is dropped. */
static void let_go_cb(struct loop_timer *t)
{
	struct held *h = (struct held *)((char *)t - offsetof(struct held, timer));

	step_done(request_fail_code(h->r, E_OVERLOADED));
}

struct step shed_overloaded(struct request *r)
{
	struct held *h = arena_alloc(&r->arena, sizeof *h);

	if (h == NULL)
		return request_fail_code(r, E_OVERLOADED);
	*h = (struct held){ .timer.cb = let_go_cb, .r = r };
	if (loop_timer_set(r->loop, &h->timer, SHED_DELAY) != OK)
		return request_fail_code(r, E_OVERLOADED);
	return request_suspend(r);
}
