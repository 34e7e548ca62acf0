/* Encryption at rest: AES-256-GCM under the master key with a random nonce, bound to what the secret
 * is for by associated data ("signing_key:<kid>"), so that a sealed value moved to another row does
 * not open. Any thread; the master key is set once before threads start. */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

struct seal; /* holds the master key */

/* key32: 32 bytes. Sub-keys are derived by HKDF (RFC 5869) for sealing and for token MACs. */
enum err seal_new(const unsigned char key32[32], struct seal **out);
void seal_free(struct seal *s);
/* Appends version byte, nonce, ciphertext, tag. */
enum err seal_close(const struct seal *s, struct str ad, struct str plain, struct buf *out);
/* E_INTERNAL when it does not open: wrong master key, or tampered. */
enum err seal_open(const struct seal *s, struct str ad, struct str sealed, struct buf *plain);
/* HMAC-SHA-256 under the sub-key named `purpose`, 32 bytes. */
void seal_mac(const struct seal *s, const char *purpose, struct str data, unsigned char out[32]);

/* The master key: base64 of 32 bytes in `value`, or, when value is empty, the file `path`, which is
 * made (0600, fsynced, atomically) when it does not exist and `create`. */
enum err seal_load(const char *value, const char *path, bool create, struct seal **out,
    struct fail *f);

#endif
