/* SHA-256 (FIPS 180-4) of what need not be kept secret or what is random enough not to be guessed:
 * refresh tokens, API keys, bodies. Never of passwords. Any thread. */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/str.h"

#define SHA256_LEN 32

void digest_sha256(struct str data, unsigned char out[SHA256_LEN]);

#endif
