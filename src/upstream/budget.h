/* The retry budget of one shard, shared by all workers: each request pays a share of a retry, so that retries
 * are never more than that share of the requests. Atomic; any thread. Records are the fleet's. */
#ifndef UPSTREAM_BUDGET_H
#define UPSTREAM_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "routing/table.h"

#define BUDGET_RETRY 1000                /* what a retry costs, in thousandths */
#define BUDGET_START (10 * BUDGET_RETRY) /* a new shard may retry a little */
#define BUDGET_MAX (1000 * BUDGET_RETRY)

struct budget {
	_Atomic int64_t tokens; /* thousandths of a retry */
	_Atomic bool gone;      /* routing no longer names the shard */
	/* ---- the fleet's own ---- */
	struct budget *chain;
	uint64_t hash;
	unsigned refs;
	enum route_kind kind;
	size_t shard_len;
	char shard[];
};

/* A request pays `percent` of a retry into *earned, the worker's own purse; from there it goes into the
 * budget a whole retry at a time. */
void budget_earn(struct budget *b, int64_t *earned, unsigned percent);
/* Takes a retry out of it; false: there is none. */
bool budget_spend(struct budget *b, int64_t *earned);

#endif
