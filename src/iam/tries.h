/* What slows guessing down, in the store: the tables `tries` (events that count against a key, in the
 * arithmetic of base/pace.h) and `known_network` (from where an account was signed in to). Keys are
 * hashes that the caller makes; nothing here knows of what. No cache holds any of it: no change rows.
 * Blocking where a store is given: control lane. */
#ifndef IAM_TRIES_H
#define IAM_TRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

struct pace;
struct store;
struct write;

struct tries {
	int64_t n, at; /* wall, microseconds; 0, 0: none */
};

/* The two counts, and when the account was last known to be signed in to from the network (0: never),
 * in one snapshot, at most a second old on rqlite. */
enum err tries_read(struct store *s, const struct id key[2], const struct id *account,
    const struct id *network, struct tries out[2], int64_t *seen_at, struct fail *f);
/* One count, as of now. */
enum err tries_read_one(struct store *s, const struct id *key, struct tries *out, struct fail *f);

/* One more event, at w->now, on top of whatever the store has by then; takes along some rows that are
 * worth nothing any more. */
void tries_add(struct write *w, const struct pace *p, const struct id *key);
/* The same, if the row is still as it was read; else E_RATE_LIMITED: somebody was faster. */
void tries_add_if(struct write *w, const struct pace *p, const struct id *key,
    const struct tries *was);
void tries_forget(struct write *w, const struct id *key);

/* The account is signed in to from there now. A day or more apart: written; else no row is touched. */
void known_network_add(struct write *w, const struct id *account, const struct id *network);
/* All of the account but `keep`. */
void known_network_forget(struct write *w, const struct id *account, const struct id *keep);

#define KNOWN_NETWORK_DAYS 180 /* without a sign-in, and it is forgotten */

/* Deletes some of what is worth nothing any more, `limit` of each table. */
enum err tries_trim(struct store *s, int64_t now, int64_t limit, struct fail *f);

#endif
