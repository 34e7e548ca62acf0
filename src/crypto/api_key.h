/* API keys of service accounts: "gwk_" + credential id (32 hexadecimal digits) + "_" + secret (43
 * characters of base64url, 32 random bytes). The id finds the row, the row has the secret's hash;
 * whether they belong together is the caller's comparison (secret_eq). Any thread. */
#ifndef CRYPTO_API_KEY_H
#define CRYPTO_API_KEY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"
#include "crypto/token.h"

#define API_KEY_LEN 81 /* with the NUL: 4 + 32 + 1 + 43 + 1 */

/* random: from rnd_bytes. The key is shown once; the hash is stored. */
void api_key_make(struct id credential, const unsigned char random[TOKEN_RANDOM],
    char out[API_KEY_LEN], unsigned char hash[TOKEN_HASH]);
/* E_UNAUTHENTICATED for anything that api_key_make does not write. */
enum err api_key_parse(struct str key, struct id *credential, unsigned char hash[TOKEN_HASH]);
/* Whether a Bearer credential is meant as an API key: it starts like one. */
bool api_key_looks_like(struct str s);

#endif
