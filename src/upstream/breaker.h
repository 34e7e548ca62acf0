/* The circuit breaker of one endpoint: an explicit table of states. It also ejects outliers, because
 * what it counts are the tries that real requests made (passive health). Pure but for the struct; time
 * is a parameter (microseconds, monotonic). */
#ifndef UPSTREAM_BREAKER_H
#define UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* The numbers are those of gateway_upstream_circuit_state. */
enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN, BREAKER__STATES };

enum breaker_result {
	BREAKER_OK,     /* the node answered, whatever it said */
	BREAKER_FAILED, /* not reachable, silent, or talking nonsense */
	BREAKER_NOTHING /* cancelled: says nothing about the node */
};

#define BREAKER_CONSECUTIVE 5 /* failures in a row open it */
#define BREAKER_WINDOW INT64_C(10000000)
#define BREAKER_WINDOW_MIN 20 /* results in a window before its share counts */
#define BREAKER_BACKOFF_MIN INT64_C(500000)
#define BREAKER_BACKOFF_MAX INT64_C(10000000)

struct breaker {
	enum breaker_state state;
	unsigned consecutive;   /* failures */
	unsigned total, failed; /* in this window */
	int64_t window;         /* its start */
	int64_t until;          /* open: when a probe may go */
	int64_t backoff;
	bool probing;           /* half-open: the probe is on its way */
};

/* Whether a try may start now. Changes nothing. */
bool breaker_allows(const struct breaker *b, int64_t now);
/* A try starts, allowed or forced. Returns whether it is the probe of a half-open breaker. */
bool breaker_start(struct breaker *b, int64_t now);
/* A try ended; `probe` is what breaker_start returned for it. Returns whether the state changed. */
bool breaker_end(struct breaker *b, bool probe, enum breaker_result result, int64_t now);
const char *breaker_state_name(enum breaker_state s);

#endif
