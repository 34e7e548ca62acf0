/* The keys that sign access tokens: the table `signing_key`. A key is born as `next` (published so that
 * verifiers know it before it signs), becomes `active` (exactly one), then `retired`: it signs no
 * more, its private part is gone, and it verifies until the last token that it signed has run out.
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
 * *kid: the key that is active then, in w's arena. E_CONFLICT when somebody else rotates. */
enum err signing_key_rotate(struct write *w, struct store *s, const struct seal *seal,
    int64_t keep, struct str *kid, struct fail *f);

/* All rows, newest first. */
enum err signing_key_list(struct store *s, struct arena *a, struct signing_key **out, size_t *n,
    struct fail *f);

#endif
