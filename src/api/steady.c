#include "api/steady.h"

#include "api/shed.h"
#include "base/clock.h"

struct held {
	struct loop_timer timer;
	struct request *r;
};

/* A client that has gone meanwhile does not matter: its answer is dropped. */
static void time_cb(struct loop_timer *t)
{
	struct held *h = (struct held *)((char *)t - offsetof(struct held, timer));

	step_done(request_reply(h->r));
}

struct step steady_reply(struct request *r)
{
	int64_t now = clock_mono(), wait;
	struct held *h;

	if (r->reply.err == E_RATE_LIMITED && r->not_before == 0)
		r->not_before = now + SHED_DELAY;
	wait = r->not_before - now;
	if (wait <= 0)
		return request_reply(r);
	h = arena_alloc(&r->arena, sizeof *h);
	if (h == NULL)
		return request_reply(r);
	*h = (struct held){ .timer.cb = time_cb, .r = r };
	if (loop_timer_set(r->loop, &h->timer, wait) != OK)
		return request_reply(r);
	return request_suspend(r);
}

struct step steady_fail(struct request *r, const struct fail *f)
{
	reply_set_fail(r, f);
	return steady_reply(r);
}
