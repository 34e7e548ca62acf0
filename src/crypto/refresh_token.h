/* Refresh tokens: "grt_" + base64url(session id 16 || counter 8 big-endian || MAC 16). The MAC
 * (HMAC-SHA-256, truncated) under the master key's sub-key makes a forged one cost nothing but a
 * hash; the store decides the rest. Deterministic: the same (session, counter) is the same token. */
#ifndef CRYPTO_REFRESH_TOKEN_H
#define CRYPTO_REFRESH_TOKEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct seal;

#define REFRESH_TOKEN_LEN 59 /* with the NUL: 4 + 54 + 1 */

void refresh_token_make(const struct seal *s, struct id session, uint64_t counter,
    char out[REFRESH_TOKEN_LEN]);
/* E_REFRESH_INVALID for anything that was not made by refresh_token_make under this key. */
enum err refresh_token_parse(const struct seal *s, struct str token, struct id *session,
    uint64_t *counter);

#endif
