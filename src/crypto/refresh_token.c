#include "crypto/refresh_token.h"

#include <string.h>

#include "base/hex.h"
#include "base/secret.h"
#include "crypto/seal.h"

#define PREFIX "grt_"
enum { ID = 16, COUNTER = 8, MAC = 16, RAW = ID + COUNTER + MAC };

static void mac(const struct seal *s, const unsigned char raw[RAW], unsigned char out[32])
{
	seal_mac(s, "refresh_token", str_n((const char *)raw, ID + COUNTER), out);
}

void refresh_token_make(const struct seal *s, struct id session, uint64_t counter,
    char out[REFRESH_TOKEN_LEN])
{
	unsigned char raw[RAW], m[32];

	memcpy(raw, session.b, ID);
	for (int i = 0; i < COUNTER; i++)
		raw[ID + i] = (unsigned char)(counter >> (56 - 8 * i));
	mac(s, raw, m);
	memcpy(raw + ID + COUNTER, m, MAC);
	memcpy(out, PREFIX, 4);
	out[4 + b64u_encode(raw, RAW, out + 4)] = '\0';
	secret_wipe(m, sizeof m);
	secret_wipe(raw, sizeof raw);
}

enum err refresh_token_parse(const struct seal *s, struct str token, struct id *session,
    uint64_t *counter)
{
	unsigned char raw[RAW], m[32];
	enum err e = E_REFRESH_INVALID;
	size_t n = 0;

	if (token.n != REFRESH_TOKEN_LEN - 1 || !str_starts(token, STR(PREFIX)))
		return e;
	if (!b64u_decode(str_skip(token, 4), raw, RAW, &n) || n != RAW)
		goto out;
	mac(s, raw, m);
	if (!secret_eq(str_n((char *)m, MAC), str_n((char *)raw + ID + COUNTER, MAC)))
		goto out;
	memcpy(session->b, raw, ID);
	*counter = 0;
	for (int i = 0; i < COUNTER; i++)
		*counter = *counter << 8 | raw[ID + i];
	e = OK;
out:
	secret_wipe(m, sizeof m);
	secret_wipe(raw, sizeof raw);
	return e;
}
