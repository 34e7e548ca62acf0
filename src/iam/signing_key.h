/* The keys that sign access tokens: the table `signing_key`. A key is born as `next` (published so that
 * verifiers know it before it signs), becomes `active` (exactly one), then `retired`: it signs no
 * more, its private part is gone, and it verifies until the last token that it signed has run out.
 * From any of these it can become `revoked`: then no token of it is good any more.
 * Private parts are sealed under the master key, bound to their kid. Blocking: control lane. */
#ifndef IAM_SIGNING_KEY_H
#define IAM_SIGNING_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/store.h"

struct keyring;
struct seal;
struct write;

struct signing_key {
	struct str kid, alg, state;
	int64_t not_after; /* 0: open */
	int64_t version, created_at, updated_at;
};

/* Whether the store holds keys of any state: then it was sealed with a master key already. */
enum err signing_key_any(struct store *s, bool *any, struct fail *f);
/* Makes an active and a next key when there is no active one. Two replicas that start at once end
 * with the keys of one of them. */
enum err iam_signing_key_ensure(struct store *s, const struct seal *seal, int64_t now,
    struct fail *f);
/* All keys that may still verify at `now`. E_CONFIG when the master key does not open them. The caller
 * owns the reference. */
enum err iam_keyring_load(struct store *s, const struct seal *seal, int64_t now,
    struct keyring **out, struct fail *f);

/* Appends a rotation: the next key becomes active, the active one retires and verifies for another
 * `keep` microseconds (the life of an access token, and some for clocks), a new next is made.
 * *kid: the key that is active then, in w's arena. E_CONFLICT when somebody else rotates, here or at the
 * commit. */
enum err signing_key_rotate(struct write *w, struct store *s, const struct seal *seal,
    int64_t keep, struct str *kid, struct fail *f);

/* When keys are rotated by themselves; microseconds. */
struct signing_key_schedule {
	int64_t period; /* that a key is active */
	int64_t lead;   /* that the next one must have been published before it is */
	int64_t keep;   /* as above */
};
/* The same when it is due, and nothing otherwise (*kid: .p NULL). *due: when the next rotation will be.
 * Any number of replicas may try at the same time: E_CONFLICT at the commit for all but one. */
enum err signing_key_rotate_due(struct write *w, struct store *s, const struct seal *seal,
    const struct signing_key_schedule *when, struct str *kid, int64_t *due, struct fail *f);

/* Appends the end of a key, at once and for good: no token of it is good any more. When it was active
 * the next one takes its place. *active: the key that signs then, in w's arena. E_NOT_FOUND;
 * E_CONFLICT when it is revoked already, or keys rotate meanwhile. */
enum err signing_key_revoke(struct write *w, struct store *s, const struct seal *seal, struct str kid,
    struct str *active, struct fail *f);

/* Retired and revoked keys stay in the list for so long after their last token. */
#define SIGNING_KEY_KEEP_US (INT64_C(90) * 24 * 3600 * 1000000)

/* All rows, newest first. */
enum err signing_key_list(struct store *s, struct arena *a, struct signing_key **out, size_t *n,
    struct fail *f);

#endif
