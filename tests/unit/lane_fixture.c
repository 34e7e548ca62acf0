#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lane_fixture.h"

#define ROUNDS 20 /* more than the chain of jobs that one request makes */

void lane_init(struct lane *l, size_t max_queue)
{
	*l = (struct lane){ .opened = 0 };
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	assert_int_equal(loop_new(&l->loop), OK);
	assert_int_equal(pool_new(&l->pool, "lane", 1, max_queue), OK);
}

void lane_stop(struct lane *l)
{
	pool_free(l->pool);
	loop_drain(l->loop);
}

void lane_release(struct lane *l)
{
	loop_free(l->loop);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->cond);
}

static void gate_job(struct pool_job *j)
{
	struct lane *l = (struct lane *)((char *)j - offsetof(struct lane, gate));

	pthread_mutex_lock(&l->lock);
	l->entered++;
	pthread_cond_broadcast(&l->cond);
	while (l->opened < l->entered)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void lane_close(struct lane *l)
{
	pthread_mutex_lock(&l->lock);
	l->gate.run = gate_job;
	pool_submit_always(l->pool, &l->gate);
	while (l->entered == l->opened)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

void lane_open(struct lane *l)
{
	pthread_mutex_lock(&l->lock);
	l->opened++;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void lane_rest(struct lane *l)
{
	lane_close(l);
	lane_open(l);
}

void lane_settle(struct lane *l)
{
	for (int i = 0; i < ROUNDS; i++) {
		lane_rest(l);
		loop_drain(l->loop);
	}
}

static void tick_cb(struct loop_msg *m)
{
	loop_stop(((struct lane *)((char *)m - offsetof(struct lane, tick)))->loop);
}

void lane_tick(struct lane *l)
{
	l->tick.cb = tick_cb;
	loop_post(l->loop, &l->tick);
	loop_run(l->loop);
}
