/* A control lane of one thread that a test can hold up, and a loop that the test runs by hand:
 * every interleaving of jobs, changes and messages can then be made on purpose. Not a test. */
#ifndef TESTS_LANE_FIXTURE_H
#define TESTS_LANE_FIXTURE_H

#include <pthread.h>

#include "base/loop.h"
#include "base/pool.h"

struct lane {
	struct loop *loop;
	struct pool *pool;
	struct pool_job gate;
	struct loop_msg tick;
	pthread_mutex_t lock; /* guards the two counters */
	pthread_cond_t cond;
	unsigned entered, opened;
};

void lane_init(struct lane *l, size_t max_queue);
/* Runs what is left, delivers its messages, ends the thread. The loop stays until lane_release. */
void lane_stop(struct lane *l);
void lane_release(struct lane *l);

/* Nothing that is submitted from now on runs, until lane_open. */
void lane_close(struct lane *l);
void lane_open(struct lane *l);
/* Everything that was submitted has run when this returns; its messages lie in the inbox,
 * undelivered. */
void lane_rest(struct lane *l);
/* Rests and delivers until nothing is under way. */
void lane_settle(struct lane *l);
/* One iteration of the loop: its clock moves on. */
void lane_tick(struct lane *l);

#endif
