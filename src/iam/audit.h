/* The audit log: the table `audit`, a chain of records (audit_record.h). A record joins the chain in the
 * batch of the mutation that it tells of; records of what changed nothing (refusals, sign-ins) are
 * gathered and appended by a thread of its own. Each append is guarded by the last seq, so writers on
 * any number of replicas make one chain: whoever saw an older end tries again.
 *
 * Mutations of one replica take turns at the end of the chain: it costs them sharing a commit, which
 * administration can afford and sign-ins, which go by the thread, do not pay. Thread-safe. */
#ifndef IAM_AUDIT_H
#define IAM_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "iam/audit_record.h"
#include "store/store.h"

struct audit;
struct write;

#define AUDIT_QUEUE 4096 /* records that may wait for the thread */

/* Starts the thread. The store must outlive it. */
enum err audit_new(struct store *s, struct id replica, struct audit **out);
/* Appends what waits, as far as the store lets it within a few seconds; ends the thread. */
void audit_free(struct audit *a);

/* Commits w with the record in it; seq and replica are filled in. What store_write returns; E_CONFLICT
 * when others were faster too many times. Blocking: control lane. */
enum err audit_commit(struct audit *a, struct write *w, struct audit_record *r, struct fail *f);
/* Copies the record for the thread. Any thread; holds a mutex for a few instructions. E_OVERLOADED
 * past AUDIT_QUEUE: the record is then only in the log. */
enum err audit_post(struct audit *a, const struct audit_record *r);
/* Returns when all that was posted before the call is in the store, or `us` microseconds have passed:
 * whether all is. */
bool audit_flush(struct audit *a, int64_t us);

struct audit_row {
	struct audit_record r;
	unsigned char prev[AUDIT_HASH], hash[AUDIT_HASH];
};
struct audit_filter {
	struct str tenant, action; /* .p NULL: all */
	bool by_actor;
	struct id actor;
	int64_t from, to; /* from <= at < to, microseconds; 0: open */
	int64_t before;   /* seq below this; 0: from the end */
	int64_t limit;
};
/* Newest first. */
enum err audit_list(struct store *s, const struct audit_filter *q, struct arena *a,
    struct audit_row **out, size_t *n, struct fail *f);

#endif
