/* What one worker counts of one shard's tries, and of one endpoint. The worker alone writes; the
 * scrape on the control lane reads (relaxed atomics), so nothing that it can reach is ever freed
 * before the upstream is. */
#ifndef UPSTREAM_STATS_H
#define UPSTREAM_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum outcome {
	OUTCOME_OK,          /* the node answered: HTTP below 500; gRPC with any status */
	OUTCOME_NODE_ERROR,  /* ... HTTP 5xx */
	OUTCOME_UNREACHABLE, /* no connection, or it ended before the answer */
	OUTCOME_TIMEOUT,
	OUTCOME_BAD,         /* not a valid answer */
	OUTCOME_REJECTED,    /* not sent: circuit open or queue full */
	OUTCOME_CANCELLED,
	OUTCOME__COUNT
};

/* Upper bounds in microseconds; one bucket more is +Inf. */
#define STATS_BOUNDS 14
extern const int64_t stats_bounds[STATS_BOUNDS];
extern const char *const stats_bound_labels[STATS_BOUNDS]; /* in seconds */
extern const char *const stats_outcomes[OUTCOME__COUNT];

struct stats {
	_Atomic uint64_t outcome[OUTCOME__COUNT];
	_Atomic uint64_t bucket[STATS_BOUNDS + 1]; /* of tries that a node answered */
	_Atomic uint64_t sum_us;
};

/* One writer: no read-modify-write instruction is needed. */
static inline void stats_add(_Atomic uint64_t *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
	    memory_order_relaxed);
}
void stats_try(struct stats *s, enum outcome o, int64_t us);

#endif
