#include "front/deadline.h"

#include <stddef.h>

static bool empty(const struct deadlines *l)
{
	return l->head.next == &l->head;
}

static struct deadlines *of_timer(struct loop_timer *t)
{
	return (struct deadlines *)((char *)t - offsetof(struct deadlines, timer));
}

/* The timer is left alone while entries move: it looks again when it fires, at the latest an eighth
 * of the delay after the first entry is due. */
static void arm(struct deadlines *l)
{
	if (!empty(l) && !loop_timer_armed(&l->timer))
		(void)loop_timer_set(l->loop, &l->timer,
		    l->head.next->due - loop_now(l->loop) + l->delay / 8);
}

static void fire_cb(struct loop_timer *t)
{
	struct deadlines *l = of_timer(t);

	while (!empty(l) && l->head.next->due <= loop_now(l->loop)) {
		struct deadline *d = l->head.next;

		deadline_clear(d);
		l->cb(d);
	}
	arm(l);
}

void deadlines_init(struct deadlines *l, struct loop *loop, int64_t delay,
    void (*cb)(struct deadline *d))
{
	*l = (struct deadlines){ .loop = loop, .delay = delay, .cb = cb, .timer.cb = fire_cb };
	l->head.next = l->head.prev = &l->head;
}

void deadlines_release(struct deadlines *l)
{
	if (l->loop == NULL)
		return;
	while (!empty(l))
		deadline_clear(l->head.next);
	loop_timer_clear(l->loop, &l->timer);
}

void deadline_set(struct deadline *d, struct deadlines *l)
{
	deadline_clear(d);
	d->in = l;
	d->due = loop_now(l->loop) + l->delay;
	d->prev = l->head.prev;
	d->next = &l->head;
	d->prev->next = d->next->prev = d;
	arm(l);
}

void deadline_clear(struct deadline *d)
{
	if (d->in == NULL)
		return;
	d->prev->next = d->next;
	d->next->prev = d->prev;
	d->in = NULL;
}
