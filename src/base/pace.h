/* How delays grow with the number of events (failed attempts, mails) and go back with time: pure
 * arithmetic on a count and its age, so that whoever keeps the two, in memory or in a store, decides
 * alike. An event that is refused is not counted: whoever waits as told is let through once.
 * Times are microseconds; any thread. */
#ifndef BASE_PACE_H
#define BASE_PACE_H

#include <stdint.h>

#define PACE_MAX 10000 /* counts stop growing there */

struct pace {
	int64_t free;   /* the event of this number is the first with a delay behind it; 0: none ever has */
	int64_t first;  /* that delay */
	int64_t factor; /* each is so many times the one before */
	int64_t most;   /* the longest */
	int64_t leak;   /* one event is forgotten in this time */
};

/* Of n events, the last of which was `age` ago, how many still count. A negative age is of a clock
 * that was set back: nothing is forgotten for it. */
int64_t pace_left(const struct pace *p, int64_t n, int64_t age);
/* After n events, the last of which was `age` ago: the time until the next is allowed; 0: now. An
 * event that is more than a minute in the future holds nobody back: a clock was wrong, and nobody
 * shall wait for it to come round. */
int64_t pace_wait(const struct pace *p, int64_t n, int64_t age);

#endif
