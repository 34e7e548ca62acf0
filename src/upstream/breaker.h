/* The circuit breaker of one node: an explicit table of states, shared by all workers. It also ejects
 * outliers, because what it counts are the tries that real requests made (passive health).
 *
 * Two words of atomics, changed by compare-and-swap; any thread, no locks. While the node is well a try only
 * reads them: what succeeds is counted by each worker for itself (struct breaker_share) and told when there
 * are failures beside which it matters. Time is a parameter (microseconds, monotonic). */
#ifndef UPSTREAM_BREAKER_H
#define UPSTREAM_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The numbers are those of gateway_upstream_circuit_state. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN, BREAKER__STATES };

enum breaker_result {
	BREAKER_OK,     /* the node answered, whatever it said */
	BREAKER_FAILED, /* not reachable, silent, or talking nonsense */
	BREAKER_NOTHING /* cancelled: says nothing about the node */
};

enum breaker_pass {
	BREAKER_REFUSED,
	BREAKER_PASSED,
	BREAKER_PROBE /* alone: it decides whether a half-open breaker closes */
};

#define BREAKER_CONSECUTIVE 5 /* failures in a row open it */
#define BREAKER_WINDOW INT64_C(10000000)
#define BREAKER_WINDOW_MIN 20 /* results in a window before its share counts */
#define BREAKER_BACKOFF_MIN INT64_C(500000)
#define BREAKER_BACKOFF_MAX INT64_C(10000000)

/* Zero is closed, without history. */
struct breaker {
	_Atomic uint64_t gate;   /* state, probe, failures in a row, when a probe may go */
	_Atomic uint64_t window; /* results of this window */
};

/* Successes of one worker in a window that the breaker has not been told. */
struct breaker_share {
	uint32_t window, good;
};

enum breaker_state breaker_state(const struct breaker *b);
/* Whether a try may start now. Changes nothing. */
bool breaker_allows(const struct breaker *b, int64_t now);
/* A try wants to start. Decides for itself, because other threads may have been faster since breaker_allows;
 * what it refuses must not start, and does not end. */
enum breaker_pass breaker_start(struct breaker *b, int64_t now);
/* A try ended; `probe`: it started as BREAKER_PROBE; `mine`: the worker's own. Returns whether this changed
 * the state. */
bool breaker_end(struct breaker *b, struct breaker_share *mine, bool probe, enum breaker_result result,
    int64_t now);
const char *breaker_state_name(enum breaker_state s);

#endif
