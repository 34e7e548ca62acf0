/* Recovery codes for a lost second factor: ten of them, each 50 random bits as xxxxx-xxxxx in
 * Crockford's base32, which a person can read off paper. 50 bits are too few for a bare hash: what is
 * stored is an HMAC under the master key, bound to the user. Single use is the store's. Any thread. */
#ifndef CRYPTO_RECOVERY_CODE_H
#define CRYPTO_RECOVERY_CODE_H

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct seal;

#define RECOVERY_CODES 10
#define RECOVERY_CODE_LEN 12   /* with the NUL */
#define RECOVERY_CODE_RANDOM 7 /* bytes from rnd_bytes for one code */
#define RECOVERY_CODE_HASH 32

void recovery_code_make(const unsigned char random[RECOVERY_CODE_RANDOM],
    char out[RECOVERY_CODE_LEN]);
/* The stored form of what a person typed: either case, o for 0, i and l for 1, with hyphens and
 * blanks or without. E_MFA_INVALID when it is not a code. */
enum err recovery_code_hash(const struct seal *s, struct id user, struct str typed,
    unsigned char hash[RECOVERY_CODE_HASH]);

#endif
