/* The queue of mail: the table `mail`. Mail is added in the batch of the write that it tells of, is
 * claimed by one replica at a time, and leaves the table when a server has taken it.
 *
 * A claim is a compare-and-set that moves the time of the next attempt to the end of a lease: of any
 * number of replicas one wins, and when it dies the mail is due again as the lease ends. Delivery is
 * therefore at least once: a crash (or a store that can't be reached) between a server's taking the
 * mail and the row's deletion sends it again, with the same Message-ID. Nothing is lost.
 *
 * Bodies are sealed (crypto/seal.h), because they hold one-time tokens; the store never sees one.
 * Blocking: the sender's thread, the control lane. Thread-safe as the store is. */
#ifndef MAIL_QUEUE_H
#define MAIL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct buf;
struct seal;
struct store;
struct write;

/* How long things take, in microseconds. */
struct mail_policy {
	int64_t lease;     /* of a claim; longer than one mail can take to send */
	int64_t poll;      /* between looks at the queue when nothing is due */
	int64_t retry_min, retry_max;
	int64_t give_up;   /* age at which mail is not tried again */
	int64_t keep;      /* mail that was given up, for an operator to see */
};
/* 3 min, 5 s, 10 s to 1 h, 48 h, a week. */
extern const struct mail_policy mail_policy_default;

struct mail {
	struct id id;
	struct str kind;
	struct str sender, recipient; /* addresses of the envelope */
	struct str body;              /* in the table: sealed */
	int64_t attempts;             /* begun, the current one included */
	int64_t created_at;           /* wall, microseconds, as all times here */
};

/* Adds the mail (all but attempts and created_at is taken; body in plain). Errors show at the
 * commit. */
void mail_add(struct write *w, const struct seal *seal, const struct mail *m);

struct mail_claim {
	bool found;       /* out->mail is the caller's until `until` */
	struct mail mail; /* in the arena; body still sealed */
	int64_t until;
	int64_t next_at;  /* when not found: the earliest next attempt; INT64_MAX: the queue is empty */
};
/* Claims one mail that is due for `who`. Not found is OK. An outcome that is unknown is an error and
 * nothing is claimed as far as the caller goes; the lease ends by itself. */
enum err mail_claim(struct store *s, const struct id *who, int64_t now, int64_t lease,
    struct arena *a, struct mail_claim *out, struct fail *f);
/* The body in plain; E_INTERNAL when the master key is another. The caller wipes it. */
enum err mail_open(const struct seal *seal, const struct mail *m, struct buf *plain);

/* How a claim ends; the last two change nothing when it has meanwhile passed to another. */
enum err mail_sent(struct store *s, const struct mail *m, int64_t now, struct fail *f);
enum err mail_deferred(struct store *s, const struct id *who, const struct mail *m, int64_t now,
    int64_t next_at, struct str why, struct fail *f);
/* Given up: the row stays without its body, for an operator to see. */
enum err mail_failed(struct store *s, const struct id *who, const struct mail *m, int64_t now,
    struct str why, struct fail *f);

/* How long to wait after the n-th attempt (1, 2, ...): doubles from retry_min to retry_max, spread by
 * dice (random bits) over the upper half, so that mail which failed together does not come back
 * together. */
int64_t mail_backoff(const struct mail_policy *p, int64_t attempts, uint32_t dice);

struct mail_counts {
	int64_t waiting, failed;
};
enum err mail_count(struct store *s, struct mail_counts *out, struct fail *f);
/* Deletes what was given up before `before`. */
enum err mail_trim(struct store *s, int64_t now, int64_t before, struct fail *f);

#endif
