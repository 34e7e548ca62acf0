/* What the crypto room costs, per second of one core's CPU time (so that a busy machine changes
 * little): our tokens beside GnuTLS's bare calls, Argon2id by libsodium and by libargon2 in turns.
 * usage: crypto-bench [SECONDS for each line, default 1] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <argon2.h>
#include <gnutls/abstract.h>
#include <sodium.h>

#include "base/buf.h"
#include "base/clock.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "crypto/password.h"
#include "crypto/password_policy.h"
#include "crypto/refresh_token.h"
#include "crypto/seal.h"

static double seconds = 1;
static const struct password_params params = { 19456, 2, 1 };
static const unsigned char salt[16] = "sixteen bytes ok";

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "crypto-bench: %s failed\n", what);
		exit(1);
	}
}

struct line {
	const char *name;
	bool (*f)(void);
	double took;
	long n;
};

static void slice(struct line *l, double length)
{
	double start = cpu(), now;

	do {
		must(l->f(), l->name);
		l->n++;
		now = cpu();
	} while (now - start < length);
	l->took += now - start;
}

/* The lines of one table take turns of 20 ms, so that what else the machine does hits all alike. */
static void run(struct line *l, size_t n)
{
	while (l[n - 1].took < seconds)
		for (size_t i = 0; i < n; i++)
			slice(&l[i], 0.02);
	for (size_t i = 0; i < n; i++)
		printf("%-44s %12.0f /s %10.2f us\n", l[i].name, (double)l[i].n / l[i].took,
		    l[i].took / (double)l[i].n * 1e6);
}

/* ---- what is measured ---- */

static struct keyring *ring;
static struct seal *seal;
static struct jwt_access claims;
static struct buf token = { .max = 65536 }, spare = { .max = 65536 };
static char scratch[16384];
static gnutls_privkey_t priv;
static gnutls_pubkey_t pub;
static gnutls_datum_t bare_sig;

static bool issue(void)
{
	buf_clear(&spare);
	return jwt_access_issue(ring, &claims, &spare) == OK;
}

static bool verify(void)
{
	struct jwt_verifier v = { .keys = ring, .issuer = claims.iss, .audience = claims.aud[0],
		.scratch = scratch, .cap = sizeof scratch };
	struct jwt_access out;

	return jwt_access_verify(&v, buf_str(&token), claims.iat * CLOCK_SEC, &out, NULL) == OK;
}

static bool verify_without_signature(void)
{
	struct jwt_access out;
	struct jws j;

	return jws_parse(buf_str(&token), scratch, sizeof scratch, &j) == OK &&
	    keyring_find(ring, j.kid) != NULL && jwt_access_parse(&j, &out) == OK &&
	    jwt_access_check(&out, claims.iss, claims.aud[0], claims.iat * CLOCK_SEC, 0) == OK;
}

static gnutls_datum_t signing_input(void)
{
	char *dot = memrchr(token.p, '.', token.n);

	return (gnutls_datum_t){ (unsigned char *)token.p, (unsigned)(dot - token.p) };
}

static bool bare_sign(void)
{
	gnutls_datum_t d = signing_input(), sig = { NULL, 0 };
	bool ok = gnutls_privkey_sign_data2(priv, GNUTLS_SIGN_ECDSA_SHA256, 0, &d, &sig) >= 0;

	gnutls_free(sig.data);
	return ok;
}

static bool bare_verify(void)
{
	gnutls_datum_t d = signing_input();

	return gnutls_pubkey_verify_data2(pub, GNUTLS_SIGN_ECDSA_SHA256, 0, &d, &bare_sig) >= 0;
}

static bool refresh(void)
{
	char text[REFRESH_TOKEN_LEN];
	struct id session;
	uint64_t counter;

	refresh_token_make(seal, claims.sid, 7, text);
	return refresh_token_parse(seal, str_c(text), &session, &counter) == OK;
}

static bool hash_sodium(void)
{
	unsigned char out[32];

	return crypto_pwhash_argon2id(out, 32, "password", 8, salt, params.iterations,
	           (size_t)params.memory_kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0;
}

static bool hash_libargon2(void)
{
	unsigned char out[32];

	return argon2id_hash_raw(params.iterations, params.memory_kib, 1, "password", 8, salt, 16, out,
	           32) == ARGON2_OK;
}

static bool hash_ours(void)
{
	char phc[PASSWORD_PHC_LEN];

	return password_hash(STR("password"), &params, salt, phc) == OK;
}

static bool policy(void)
{
	return password_policy_check(STR("correct horse battery staple"), STR("ada@example.com"),
	           STR("Ada Lovelace"), NULL) == OK;
}

static void prepare(void)
{
	struct keyring_entry e = { .state = KEY_ACTIVE };
	static const unsigned char master[32] = "a master key";
	gnutls_datum_t d;

	must(jws_key_generate(&e.key, NULL) == OK, "key");
	jws_key_thumbprint(e.key, e.kid);
	must(keyring_new_take(&e, 1, &ring) == OK, "keyring");
	must(seal_new(master, &seal) == OK, "seal");
	must(sodium_init() >= 0, "libsodium");
	claims = (struct jwt_access){ .iss = STR("https://gateway.example"), .aud = { STR("gateway") },
		.sub = id_new(1), .sid = id_new(2), .jti = id_new(3), .iat = 1800000000,
		.exp = 1800000300, .auth_time = 1800000000, .amr = JWT_AMR_PWD };
	must(jwt_access_issue(ring, &claims, &token) == OK, "token");
	gnutls_privkey_init(&priv);
	gnutls_pubkey_init(&pub);
	gnutls_privkey_generate(priv, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_pubkey_import_privkey(pub, priv, 0, 0);
	d = signing_input();
	must(gnutls_privkey_sign_data2(priv, GNUTLS_SIGN_ECDSA_SHA256, 0, &d, &bare_sig) >= 0, "GnuTLS");
}

static void finish(void)
{
	keyring_unref(ring);
	seal_free(seal);
	buf_release(&token);
	buf_release(&spare);
	gnutls_privkey_deinit(priv);
	gnutls_pubkey_deinit(pub);
	gnutls_free(bare_sig.data);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seconds = atof(argv[1]);
	prepare();
	printf("access token of %zu bytes\n", token.n);
	run((struct line[]){ { "ES256 sign, GnuTLS bare", bare_sign },
	        { "ES256 access token issued", issue } }, 2);
	run((struct line[]){ { "ES256 verify, GnuTLS bare", bare_verify },
	        { "ES256 access token verified and checked", verify } }, 2);
	run((struct line[]){ { "access token read, no signature", verify_without_signature },
	        { "refresh token made and parsed", refresh },
	        { "new password checked against the policy", policy } }, 3);
	run((struct line[]){ { "Argon2id 19 MiB t=2 p=1, libsodium", hash_sodium },
	        { "Argon2id 19 MiB t=2 p=1, libargon2", hash_libargon2 },
	        { "Argon2id 19 MiB t=2 p=1, password_hash", hash_ours } }, 3);
	finish();
	return 0;
}
