/* The verification keys of a gateway at one moment, and the one that signs: an immutable,
 * reference-counted snapshot. Workers verify with theirs; the control lane signs with its own.
 * Any thread may read one that it holds a reference of. */
#ifndef CRYPTO_KEYRING_H
#define CRYPTO_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/jws.h"

struct keyring;

enum key_state { KEY_NEXT, KEY_ACTIVE, KEY_RETIRED, KEY_REVOKED };

struct keyring_entry {
	char kid[44];
	enum key_state state;
	int64_t not_after; /* wall, microseconds: no token of this key is valid from then on; 0: open */
	struct jws_key *key;
};

/* Takes the entries' keys (also on failure). Revoked keys are left out. At most one KEY_ACTIVE. */
enum err keyring_new_take(struct keyring_entry *e, size_t n, struct keyring **out);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);
/* NULL when there is none; valid as long as the reference is. */
const struct keyring_entry *keyring_find(const struct keyring *k, struct str kid);
const struct keyring_entry *keyring_signer(const struct keyring *k);
/* Appends {"keys":[...]}: active, next and not yet expired. */
void keyring_write_jwks(const struct keyring *k, int64_t now, struct buf *out);

#endif
