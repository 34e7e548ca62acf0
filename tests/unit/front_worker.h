/* The worker that all tests of a program talk to, one after the other. Included by one test program each. */
#ifndef FRONT_WORKER_H
#define FRONT_WORKER_H

#include "front_double.h"

static struct worker w;

static int up(void **state)
{
	(void)state;
	worker_up(&w, &default_limits);
	return 0;
}

static int down(void **state)
{
	(void)state;
	worker_down(&w);
	return 0;
}

#endif
