/* The metric families of the control side. Control lane. */
#ifndef GATEWAYD_METRICS_H
#define GATEWAYD_METRICS_H

#include <stdint.h>

struct buf;
struct feed;
struct hasher;
struct store;

void metrics_write_state(struct store *s, const struct feed *feed, const struct hasher *h,
    int64_t routing_revision, struct buf *out);

#endif
