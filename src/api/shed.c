#include "api/shed.h"

#include "base/clock.h"
#include "base/rnd.h"

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

static int64_t delay(void)
{
	uint16_t n;

	rnd_bytes(&n, sizeof n);
	return SHED_DELAY + n % SHED_SPREAD;
}

struct step shed_overloaded(struct request *r)
{
	struct held *h = arena_alloc(&r->arena, sizeof *h);

	if (h == NULL)
		return request_fail_code(r, E_OVERLOADED);
	*h = (struct held){ .timer.cb = let_go_cb, .r = r };
	if (loop_timer_set(r->loop, &h->timer, delay()) != OK)
		return request_fail_code(r, E_OVERLOADED);
	return request_suspend(r);
}
