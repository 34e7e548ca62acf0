/* A pool of ordinary threads that run jobs to completion in the order submitted: the control lane.
 * The queue is bounded; what does not fit is refused at once. pool_submit: any thread, never
 * blocks longer than a mutex is held for a few instructions. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/* Embedded in what it carries; the pool owns it from pool_submit until run is called. */
struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *j);
};

/* Threads carry `name` (at most 15 characters). */
enum err pool_new(struct pool **out, const char *name, int threads, size_t max_queue);
/* Waits for all jobs, then ends the threads; from then on everything submitted is refused. */
void pool_stop(struct pool *p);
/* Stops when that has not been done. Nothing may be submitted any more. */
void pool_free(struct pool *p);
/* E_OVERLOADED when max_queue jobs wait. */
enum err pool_submit(struct pool *p, struct pool_job *j);
/* Like pool_submit, but past the bound too: for work that must not be refused (loads that a
 * decision waits for; bounded by their own callers). E_OVERLOADED after pool_stop only. */
enum err pool_submit_always(struct pool *p, struct pool_job *j);
/* Jobs that wait now. */
size_t pool_waiting(struct pool *p);

#endif
