/* The metric families of the control side. Control lane. */
#ifndef GATEWAYD_METRICS_H
#define GATEWAYD_METRICS_H

#include <stdint.h>

#include "base/err.h"

struct buf;
struct feed;
struct hasher;
struct obs;
struct obs_route;
struct store;

/* Counters for every operation. *table: labels that they use, to be freed after *out. Main thread. */
enum err metrics_obs_new(struct obs **out, struct obs_route **table);

void metrics_write_state(struct store *s, const struct feed *feed, const struct hasher *h,
    int64_t routing_revision, struct buf *out);

#endif
