/* Active health checks: asks each node that routing names, again and again, whether it is well,
 * and tells the fleet. One for the process, on a thread of its own with connections of its own: a
 * check never waits for a call, nor a call for a check.
 *
 * http(s) nodes are asked GET <path>; well is what answers with a status below 500, and 501: a
 * node without such a path is not unwell. grpc(s) nodes are asked grpc.health.v1.Health/Check for
 * the whole server; well is SERVING, and UNIMPLEMENTED. Node administration is not checked.
 *
 * Each check is a connection of its own, so that it shows whether the node takes new ones. Checks
 * begin spread over an interval and keep away from each other by chance; at most PROBER_AT_ONCE
 * run at a time and PROBER_A_SECOND begin in a second, so that with very many nodes the interval
 * stretches instead. Between the first sign of a change and its confirmation they come five times
 * as often. */
#ifndef UPSTREAM_PROBER_H
#define UPSTREAM_PROBER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct fleet;
struct prober;
struct route_table;
struct tls_client;

#define PROBER_AT_ONCE 128
#define PROBER_A_SECOND 1000

struct prober_config {
	int64_t interval_us; /* 0: no checks, all nodes count as unknown */
	int64_t timeout_us;
	unsigned rise, fall; /* checks in a row that it takes to bring a node back, to take it out */
	char path[256];
};

/* The thread starts; there are no nodes yet. The fleet outlives it. */
enum err prober_new(const struct prober_config *c, struct fleet *fleet, struct prober **out);
void prober_free(struct prober *p);
/* From now on; NULL: unchanged. Copies c, takes the references. Any thread; what can't be had for want of
 * memory is logged, and the old holds. NULL p: lets the references go. */
void prober_set_take(struct prober *p, const struct prober_config *c, struct route_table *routes,
    struct tls_client *tls);
/* gateway_upstream_checks_total. Any thread. */
void prober_write_metrics(const struct prober *p, struct buf *out);

#endif
