#include "store/rqlite_group.h"

#include <stdio.h>
#include <string.h>

#define FLIGHTS_MAX 4

void group_init(struct group *g, void *ctx,
    enum err (*send)(void *ctx, struct rider *const *riders, size_t n, struct fail *f))
{
	*g = (struct group){ .send = send, .ctx = ctx, .limit = GROUP_MAX };
	g->tail = &g->head;
	pthread_mutex_init(&g->lock, NULL);
}

void group_release(struct group *g)
{
	pthread_mutex_destroy(&g->lock);
}

/* ---- under the lock ------------------------------------------------------------------------- */

static void enqueue(struct group *g, struct rider *r)
{
	r->next = NULL;
	r->state = RIDER_WAITS;
	*g->tail = r;
	g->tail = &r->next;
}

static size_t take(struct group *g, struct rider *out[GROUP_MAX])
{
	size_t n = 0;

	while (g->head != NULL && n < g->limit) {
		out[n] = g->head;
		out[n]->state = RIDER_TAKEN;
		g->head = g->head->next;
		n++;
	}
	if (g->head == NULL)
		g->tail = &g->head;
	return n;
}

/* The rider's memory is its caller's again as soon as the lock is let go. */
static void settle(struct rider *r, enum rider_state state, enum err e, const char *text)
{
	r->state = state;
	if (e != OK) {
		r->err = e;
		snprintf(r->text, sizeof r->text, "%s", text);
	}
	pthread_cond_signal(&r->cond);
}

/* Groups fail when their batches are in each other's way: then smaller ones are tried. */
static void adapt(struct group *g, enum err e)
{
	if (e == E_GUARD)
		g->limit = g->limit > 1 ? g->limit / 2 : 1;
	else if (e == OK && g->limit < GROUP_MAX)
		g->limit++;
}

static void land(struct group *g)
{
	g->flights--;
	if (g->head != NULL)
		pthread_cond_signal(&g->head->cond); /* drives the next */
}

/* Takes those that wait. One goes alone, and holds its flight until group_leave; more are sent from
 * here, without the lock. */
static void drive(struct group *g)
{
	struct rider *riders[GROUP_MAX];
	struct fail f = { 0 };
	size_t n = take(g, riders);
	enum err e;

	g->flights++;
	if (n == 1) {
		riders[0]->flight = true;
		settle(riders[0], RIDER_ALONE, OK, "");
		return;
	}
	pthread_mutex_unlock(&g->lock);
	e = g->send(g->ctx, riders, n, &f);
	pthread_mutex_lock(&g->lock);
	adapt(g, e);
	for (size_t i = 0; i < n; i++)
		settle(riders[i], e == E_GUARD ? RIDER_ALONE : RIDER_DONE, e, fail_text(&f));
	fail_clear(&f);
	land(g);
}

/* Batches that are in each other's way gain nothing by waiting for one another. */
static bool may_drive(const struct group *g)
{
	return g->flights < FLIGHTS_MAX || g->limit == 1;
}

void group_ride(struct group *g, struct rider *r)
{
	pthread_cond_init(&r->cond, NULL);
	pthread_mutex_lock(&g->lock);
	enqueue(g, r);
	while (r->state == RIDER_WAITS || r->state == RIDER_TAKEN) {
		if (r->state == RIDER_WAITS && may_drive(g))
			drive(g);
		else
			pthread_cond_wait(&r->cond, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
	pthread_cond_destroy(&r->cond);
}

void group_leave(struct group *g, struct rider *r, enum err e)
{
	pthread_mutex_lock(&g->lock);
	if (e == OK)
		adapt(g, OK);
	if (r->flight)
		land(g);
	pthread_mutex_unlock(&g->lock);
}
