/* Tokens from strangers, taken apart and verified: jws_parse, jws_verify. What is checked beyond
 * memory safety: views stay inside token and scratch, and nothing verifies that was not signed (the
 * published tokens in the corpus apart). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../unit/jws_vectors.h"
#include "crypto/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { KEYS = 3 };

static struct jws_key *keys[KEYS];
static const char *const published[] = { A2_TOKEN, A3_TOKEN, R8037_TOKEN };

static void make_keys(void)
{
	static const char *const jwk[KEYS] = { "{" A2_PUBLIC "}", "{" A3_PUBLIC "}", "{" R8037_PUBLIC "}" };

	for (int i = 0; i < KEYS; i++) {
		json_t *o = json_loads(jwk[i], 0, NULL);

		if (jws_key_from_jwk(o, &keys[i], NULL) != OK)
			abort();
		json_decref(o);
	}
}

static void inside(struct str part, const char *p, size_t n)
{
	if (part.n > 0 && (part.p < p || part.n > n || part.p + part.n > p + n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *scratch = malloc(n > 0 ? n : 1);
	struct str token = str_n((const char *)data, n);
	struct jws j;

	if (keys[0] == NULL)
		make_keys();
	if (jws_parse(token, scratch, n, &j) == OK) {
		inside(j.signing_input, token.p, n);
		inside(j.alg, scratch, n);
		inside(j.kid, scratch, n);
		inside(j.typ, scratch, n);
		inside(j.payload, scratch, n);
		if (j.sig_len == 0 || j.sig_len > sizeof j.sig)
			abort();
		for (int i = 0; i < KEYS; i++)
			if (jws_verify(&j, keys[i]) == OK && !str_eqc(token, published[i]))
				abort();
	}
	free(scratch);
	return 0;
}
