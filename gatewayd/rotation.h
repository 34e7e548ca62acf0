/* Asks now and then whether the signing keys are to rotate (api/key_rotation.h), on a thread of the
 * control lane; one question at a time. The main thread makes it and ticks. */
#ifndef GATEWAYD_ROTATION_H
#define GATEWAYD_ROTATION_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/pool.h"

struct ctl;

struct rotation {
	struct pool_job job;
	struct ctl *ctl;
	struct pool *lane;
	_Atomic int64_t next; /* clock_mono, microseconds; INT64_MAX: a question is under way */
};

/* Several times a second, once requests are served. */
void rotation_tick(struct rotation *r);

#endif
