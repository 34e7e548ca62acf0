/* The change feed: every write that a cache depends on appends a row to `change` in the same batch;
 * a thread of each replica reads the rows in order and hands them to `apply`, which returns when
 * every worker has dropped what they name.
 *
 * The table outlives the reader: rows are trimmed a day after their write, the newest one never, so a
 * reader that finds the row it applied last knows that it has missed none, and one that does not find
 * it (it slept for a day, or the store was restored from a backup) drops every cache.
 *
 * The feed thread is the only one that calls the hooks. feed_sync and feed_poke: any thread that
 * may block (sync) or any thread at all (poke). */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* What `key` names. One enum, text in the table. */
enum change_kind {
	CHANGE_PRINCIPAL = 1, /* user or service account, its assignments; key: 16-byte id */
	CHANGE_SESSION = 2,   /* key: 16-byte id */
	CHANGE_ROLE = 3,      /* key empty: the role table is reloaded whole */
	CHANGE_TENANT = 4,    /* key: tenant id text */
	CHANGE_KEY = 5,       /* signing keys; key empty */
	CHANGE_ROUTING = 6,   /* key empty */
	CHANGE_CREDENTIAL = 7 /* of a service account, or an identity of a user; key: 16-byte id */
};

struct change {
	int64_t seq;
	enum change_kind kind;
	struct str key;
	int64_t at; /* wall, microseconds, of the write */
};

const char *change_kind_text(enum change_kind kind);
/* The statement that appends a change; `vals` is the caller's, of 3, and outlives the batch. */
struct store_stmt change_stmt(enum change_kind kind, struct str key, int64_t now,
    struct store_val vals[3]);
/* The highest seq, as a statement for a read whose result must say what it includes:
 * one row, one integer (0 when there is none). */
extern const struct store_stmt change_seq_stmt;
/* The same, asked for alone, with everything committed before the call. */
enum err change_seq_read(struct store *s, int64_t *seq, struct fail *f);

struct feed;
struct feed_hooks {
	void *ctx;
	/* Applies n changes, in order, after which the state is that of seq; returns when every worker
	 * has acknowledged. `flush` true: the feed has a gap, or a change of a kind that only a newer
	 * release knows: drop every cache. */
	void (*apply)(void *ctx, const struct change *c, size_t n, bool flush, int64_t seq);
	/* May be NULL. The feed was read at this wall time up to seq (also when there was nothing). */
	void (*fresh)(void *ctx, int64_t seq, int64_t wall);
};

struct feed_config {
	int64_t poll_us;       /* between polls without a poke; 0: 200 ms */
	const char *nats_url;  /* NULL: none. Pokes only, never state */
	struct id replica;     /* to ignore one's own pokes */
	int64_t from;          /* changes past this seq are applied: what the caller had read before it
	                          loaded its snapshots (change_seq_stmt) */
	int64_t keep_us;       /* rows older than this are trimmed; 0: 24 h */
	int64_t trim_us;       /* between trims; 0: 1 min */
};

/* A NATS server that is not there is no error. */
enum err feed_start(struct feed **feed, struct store *s, const struct feed_config *c,
    const struct feed_hooks *h, struct fail *f);
/* Waits for the hooks and for the store call under way (store_stop ends that). */
void feed_stop(struct feed *feed);
/* Read now, not at the next poll. Also tells the other replicas (NATS) when `tell`. */
void feed_poke(struct feed *feed, bool tell);
/* Returns when every change committed before the call has been applied on all workers of this
 * replica, and pokes the others; E_STATE_STALE when that took longer than timeout. Concurrent
 * callers share one read. */
enum err feed_sync(struct feed *feed, int64_t timeout_us);
/* Microseconds since the feed was last read to its end and applied (monotonic). */
int64_t feed_age(const struct feed *feed);
int64_t feed_seq(const struct feed *feed);

/* Seconds. 0.25 and 1 are what revocations promise, with and without NATS. */
extern const double feed_lag_bounds[11];

struct feed_stats {
	/* from the time that the writer gave the change, just before its commit, to the last worker's
	 * acknowledgement here; of other replicas' writes as far as their clocks agree with ours */
	uint64_t lag_count, lag_us_sum, lag_us_max;
	uint64_t lag_hist[12];                      /* cumulative; feed_lag_bounds, then all */
	uint64_t pokes_sent, pokes_received, polls, syncs, errors; /* syncs: calls of feed_sync */
	bool nats_connected;
};
void feed_stats(const struct feed *feed, struct feed_stats *out);

#endif
