#include "crypto/token.h"

#include <nettle/sha2.h>
#include <string.h>

#include "base/hex.h"
#include "base/secret.h"

static void hash_raw(const char *purpose, const unsigned char raw[TOKEN_RANDOM],
    unsigned char hash[TOKEN_HASH])
{
	struct sha256_ctx h;

	sha256_init(&h);
	sha256_update(&h, strlen(purpose) + 1, (const uint8_t *)purpose); /* its NUL ends it */
	sha256_update(&h, TOKEN_RANDOM, raw);
	sha256_digest(&h, TOKEN_HASH, hash);
	secret_wipe(&h, sizeof h);
}

void token_make(const char *purpose, const unsigned char random[TOKEN_RANDOM],
    char text[TOKEN_LEN], unsigned char hash[TOKEN_HASH])
{
	text[b64u_encode(random, TOKEN_RANDOM, text)] = '\0';
	hash_raw(purpose, random, hash);
}

enum err token_hash(const char *purpose, struct str text, unsigned char hash[TOKEN_HASH])
{
	unsigned char raw[TOKEN_RANDOM];
	enum err e = E_TOKEN_INVALID;
	size_t n = 0;

	if (b64u_decode(text, raw, sizeof raw, &n) && n == sizeof raw) {
		hash_raw(purpose, raw, hash);
		e = OK;
	}
	secret_wipe(raw, sizeof raw);
	return e;
}
