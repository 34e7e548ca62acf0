/* Gathers the batches of threads that write at the same time, so that they ride in one transaction.
 * A few groups are under way at once; whoever comes while there is room drives one, with all that
 * wait by then, so a lone writer waits for nobody. Knows nothing of rqlite. Any thread, blocks. */
#ifndef STORE_RQLITE_GROUP_H
#define STORE_RQLITE_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct store_batch;

#define GROUP_MAX 64 /* riders in one group */

enum rider_state {
	RIDER_WAITS,
	RIDER_TAKEN,
	RIDER_DONE,  /* err and text are the outcome */
	RIDER_ALONE, /* to be sent by its caller: it is the only one, or the group did not work out, and
	              * nothing of it happened */
};

/* One caller's batch; on its stack. */
struct rider {
	const struct store_batch *b;
	int64_t deadline; /* monotonic */
	enum rider_state state;
	enum err err;
	char text[256];
	size_t failed_at;   /* the engine's */
	struct rider *next; /* the queue's */
	bool flight;        /* alone, and counted as a flight */
	pthread_cond_t cond;
};

struct group {
	/* Sends n > 1 batches as one. OK, and err and text set in riders that were refused by themselves;
	 * or E_GUARD when nothing happened and each must go alone; or an error for all of them with its
	 * text. */
	enum err (*send)(void *ctx, struct rider *const *riders, size_t n, struct fail *f);
	void *ctx;
	pthread_mutex_t lock; /* what follows */
	struct rider *head, **tail;
	size_t flights;
	size_t limit; /* riders in a group now: halved when one fails, grown when one works */
};

void group_init(struct group *g, void *ctx,
    enum err (*send)(void *ctx, struct rider *const *riders, size_t n, struct fail *f));
void group_release(struct group *g);
/* Returns with state RIDER_DONE, or with RIDER_ALONE: then the caller sends it by itself, and says
 * how it went to group_leave. */
void group_ride(struct group *g, struct rider *r);
void group_leave(struct group *g, struct rider *r, enum err e);

#endif
