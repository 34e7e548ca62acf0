#include "api/hold.h"

#include "base/clock.h"
#include "base/rnd.h"

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

static int64_t moment(void)
{
	uint16_t n;

	rnd_bytes(&n, sizeof n);
	return HOLD_REFUSAL + n % HOLD_SPREAD;
}

static bool is_refusal(enum err e)
{
	return e == E_RATE_LIMITED || e == E_OVERLOADED;
}

struct step hold_reply(struct request *r)
{
	int64_t now = loop_now(r->loop), wait;
	struct held *h;

	if (r->not_before == 0 && is_refusal(r->reply.err))
		r->not_before = now + moment();
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

struct step hold_fail(struct request *r, const struct fail *f)
{
	reply_set_fail(r, f);
	return hold_reply(r);
}

struct step hold_fail_code(struct request *r, enum err e)
{
	return hold_fail(r, &(struct fail){ .err = e });
}
