#include "crypto/api_key.h"

#include <string.h>

#include "base/hex.h"

#define PREFIX "gwk_"
#define PURPOSE "api_key"
enum { ID_AT = 4, SECRET_AT = ID_AT + 32 + 1 };

void api_key_make(struct id credential, const unsigned char random[TOKEN_RANDOM],
    char out[API_KEY_LEN], unsigned char hash[TOKEN_HASH])
{
	memcpy(out, PREFIX, ID_AT);
	hex_encode(credential.b, sizeof credential.b, out + ID_AT);
	out[SECRET_AT - 1] = '_';
	token_make(PURPOSE, random, out + SECRET_AT, hash);
}

/* Lower-case hexadecimal: a key has one spelling. */
static bool decode_id(struct str s, struct id *id)
{
	char again[32];

	if (!hex_decode(s, id->b))
		return false;
	hex_encode(id->b, sizeof id->b, again);
	return memcmp(again, s.p, sizeof again) == 0;
}

enum err api_key_parse(struct str key, struct id *credential, unsigned char hash[TOKEN_HASH])
{
	if (key.n != API_KEY_LEN - 1 || !api_key_looks_like(key) || key.p[SECRET_AT - 1] != '_' ||
	    !decode_id(str_n(key.p + ID_AT, 32), credential) ||
	    token_hash(PURPOSE, str_skip(key, SECRET_AT), hash) != OK)
		return E_UNAUTHENTICATED;
	return OK;
}

bool api_key_looks_like(struct str s)
{
	return str_starts(s, STR(PREFIX));
}
