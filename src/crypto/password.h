/* Password hashing: Argon2id as PHC strings ($argon2id$v=19$m=19456,t=2,p=1$salt$hash); scrypt
 * ($scrypt$ln=..,r=..,p=..$..$.. and libscrypt's $s1$ form) only to verify imported hashes.
 * Slow on purpose: control lane only, behind the hashing semaphore. Thread-safe. */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define PASSWORD_PHC_LEN 256 /* with the NUL */
#define PASSWORD_MIN 8       /* characters of a new one (NIST SP 800-63B, 5.1.1.2) */
#define PASSWORD_MAX 256

struct password_params {
	uint32_t memory_kib, iterations, parallelism;
};

/* salt: 16 random bytes from the caller. E_NOMEM. */
enum err password_hash(struct str password, const struct password_params *p,
    const unsigned char salt[16], char phc[PASSWORD_PHC_LEN]);
/* OK, E_INVALID_CREDENTIALS, or E_INTERNAL for a hash that is not understood. *weaker (may be NULL):
 * the hash has another algorithm or lower parameters than `want`. Parameters in the hash past
 * 4 GiB or 64 passes are refused. */
enum err password_verify(struct str password, struct str phc, const struct password_params *want,
    bool *weaker);
/* Spends the time of a verification and fails: for accounts that do not exist. */
enum err password_verify_dummy(struct str password, const struct password_params *p);
/* NFC (Unicode) of the password into out; E_WEAK_PASSWORD when it is not UTF-8 or, in characters
 * after normalisation, outside [min, max]. */
struct buf;
enum err password_normalise(struct str in, unsigned min, unsigned max, struct buf *out,
    struct fail *f);

#endif
