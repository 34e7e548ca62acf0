/* ID tokens as a provider that lies would sign them: the payload is whatever, and the signature is held to be
 * good. Beyond memory safety: what is parsed has what is required, views lie inside, and nothing holds
 * that names another issuer, client or nonce. The first byte says whether the state in a cookie is tried
 * instead: text that opens must be read without harm too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/id_token.h"
#include "authn/oidc_state.h"
#include "base/clock.h"
#include "base/hex.h"
#include "crypto/jws.h"
#include "crypto/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define NOW INT64_C(1700000000)

static void inside(struct str s, const char *p, size_t n)
{
	if (s.p != NULL && (s.p < p || s.p + s.n > p + n))
		abort();
}

static void try_token(char *payload, size_t n)
{
	struct jws j = { .payload = str_n(payload, n) };
	struct id_token_wanted w = { .issuer = STR("https://op.test"), .client_id = STR("me"),
		.nonce = STR("n"), .access_token = STR("at"), .begun_at = NOW * CLOCK_SEC,
		.now = NOW * CLOCK_SEC };
	struct id_token t;

	if (id_token_parse(&j, &t) != OK)
		return;
	if (t.iss.n == 0 || t.sub.n == 0 || t.sub.n > 255 || t.aud.n == 0 || t.exp <= 0 || t.iat <= 0)
		abort();
	inside(t.iss, payload, n);
	inside(t.sub, payload, n);
	inside(t.email, payload, n);
	inside(t.name, payload, n);
	if (id_token_fault(&t, STR("ES256"), &w) == NULL &&
	    (!str_eq(t.iss, w.issuer) || !str_eq(t.aud, w.client_id) || !str_eq(t.nonce, w.nonce) ||
	        t.exp <= NOW - ID_TOKEN_SKEW))
		abort();
}

static void try_state(struct str plain)
{
	static struct seal *seal;
	unsigned char key[32] = { 1 };
	char cookie[B64U_LEN(8192)];
	struct oidc_state s;
	struct buf sealed;
	struct arena a;

	if (seal == NULL && seal_new(key, &seal) != OK)
		abort();
	buf_init(&sealed, 8192);
	arena_init(&a, 1 << 16);
	if (plain.n < 8000 && seal_close(seal, STR("oidc_state"), plain, &sealed) == OK) {
		size_t n = b64u_encode(sealed.p, sealed.n, cookie);

		if (oidc_state_open(str_n(cookie, n), seal, NOW * CLOCK_SEC, &a, &s) == OK &&
		    (strlen(s.state) >= OIDC_STATE_TOKEN || strlen(s.verifier) >= OIDC_STATE_TOKEN))
			abort();
	}
	arena_release(&a);
	buf_release(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy;

	if (n == 0)
		return 0;
	copy = malloc(n);
	memcpy(copy, data + 1, n - 1);
	if (data[0] == 'c')
		try_state(str_n(copy, n - 1));
	else
		try_token(copy, n - 1);
	free(copy);
	return 0;
}
