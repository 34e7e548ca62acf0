/* Password hashing: Argon2id as PHC strings ($argon2id$v=19$m=19456,t=2,p=1$salt$hash); scrypt
 * ($scrypt$ln=..,r=..,p=..$..$.., libscrypt's $s1$ and the older $s0$) only to verify imported hashes.
 * Slow on purpose: control lane only, behind the hashing semaphore. Thread-safe. */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define PASSWORD_PHC_LEN 256 /* with the NUL */
#define PASSWORD_CHARS 1024  /* that a configuration may allow: what a sign-in takes */
#define PASSWORD_BYTES 4096  /* of those as UTF-8 */
#define PASSWORD_GIVEN 8192  /* bytes of one as it arrives: decomposed letters take more */

struct config;

struct password_params {
	uint32_t memory_kib, iterations, parallelism;
};
/* Those of auth.argon2. */
struct password_params password_params_of(const struct config *c);

/* salt: 16 random bytes from the caller. E_NOMEM. */
enum err password_hash(struct str password, const struct password_params *p,
    const unsigned char salt[16], char phc[PASSWORD_PHC_LEN]);
/* OK, E_INVALID_CREDENTIALS, or E_INTERNAL for a hash that is not understood. *weaker (may be NULL):
 * the hash has another algorithm or lower parameters than `want`. Parameters in the hash past
 * 4 GiB or 64 passes are refused. */
enum err password_verify(struct str password, struct str phc, const struct password_params *want,
    bool *weaker);
/* What a hash of elsewhere may cost whoever signs in with it: anybody can make us pay it. */
#define PASSWORD_IMPORT_MIB 256       /* memory */
#define PASSWORD_IMPORT_WORK_MIB 1024 /* memory times passes (Argon2) or parallelism (scrypt) */
/* Whether a hash of elsewhere can be taken over: one of the forms above, 16 bytes of hash or more, and
 * no dearer than that. E_INVALID_FIELD with why, for people. */
enum err password_hash_check(struct str phc, struct fail *f);
/* Spends the time of a verification and fails: for accounts that do not exist. */
enum err password_verify_dummy(struct str password, const struct password_params *p);
/* NFC (Unicode) of the password into out; E_WEAK_PASSWORD when it is not UTF-8 or, in characters
 * after normalisation, outside [min, max]. */
struct buf;
enum err password_normalise(struct str in, unsigned min, unsigned max, struct buf *out,
    struct fail *f);

#endif
