/* Timeouts that are many and seldom expire: a list for each length of time, so that setting, moving
 * and clearing one is a few pointers and no system call; one loop timer stands for the list. Precise
 * to 1/8 of the delay, late, never early. One thread: the loop's. */
#ifndef FRONT_DEADLINE_H
#define FRONT_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct deadlines;

/* Embedded in what it watches; zero-initialise. */
struct deadline {
	struct deadline *next, *prev;
	struct deadlines *in; /* NULL: not set */
	int64_t due;          /* clock_mono, microseconds */
};

struct deadlines {
	struct deadline head; /* ring, soonest first */
	struct loop *loop;
	struct loop_timer timer;
	int64_t delay; /* microseconds */
	void (*cb)(struct deadline *d); /* d is cleared; may set it again */
};

void deadlines_init(struct deadlines *l, struct loop *loop, int64_t delay,
    void (*cb)(struct deadline *d));
/* Clears all of them. */
void deadlines_release(struct deadlines *l);
/* (Re)starts d in l; it leaves the list that it was in. */
void deadline_set(struct deadline *d, struct deadlines *l);
void deadline_clear(struct deadline *d);

#endif
