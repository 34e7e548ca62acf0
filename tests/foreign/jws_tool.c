/* What our own code makes of tokens and keys, for tests against other implementations: one JSON
 * request a line on stdin, one JSON answer a line on stdout.
 *   {"op":"access","audience":[...]}      a new key's JWKS and an access token by it
 *   {"op":"sign","jwk":{..},"header":"..","payload":".."}
 *   {"op":"verify","jwk":{..},"token":".."}
 * An answer has "error" when the operation was refused. For tests alone. */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"

static struct str text(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return str_n(json_string_value(v), json_string_length(v));
}

static json_t *refused(enum err e, const struct fail *f)
{
	return json_pack("{s:s,s:s}", "error", err_code(e), "text", f != NULL ? fail_text(f) : "");
}

static json_t *do_sign(const json_t *req)
{
	struct jws_key *key = NULL;
	struct fail f = { 0 };
	struct buf b;
	json_t *out;
	enum err e;

	buf_init(&b, 65536);
	e = jws_key_from_jwk(json_object_get(req, "jwk"), &key, &f);
	if (e == OK)
		e = jws_sign(key, text(req, "header"), text(req, "payload"), &b);
	out = e == OK ? json_pack("{s:s%}", "token", b.p, b.n) : refused(e, &f);
	buf_release(&b);
	jws_key_free(key);
	return out;
}

static json_t *do_verify(const json_t *req)
{
	struct jws_key *key = NULL;
	struct fail f = { 0 };
	static char scratch[32768];
	struct jws j;
	json_t *out;
	enum err e = jws_key_from_jwk(json_object_get(req, "jwk"), &key, &f);

	if (e == OK)
		e = jws_parse(text(req, "token"), scratch, sizeof scratch, &j);
	if (e == OK)
		e = jws_verify(&j, key);
	out = e == OK ? json_pack("{s:s%}", "payload", j.payload.p, j.payload.n) : refused(e, &f);
	jws_key_free(key);
	return out;
}

static enum err new_ring(struct keyring **ring)
{
	struct keyring_entry entry = { .state = KEY_ACTIVE };
	struct fail f = { 0 };
	enum err e = jws_key_generate(&entry.key, &f);

	if (e != OK)
		return e;
	jws_key_thumbprint(entry.key, entry.kid);
	return keyring_new_take(&entry, 1, ring);
}

static json_t *do_access(const json_t *req)
{
	int64_t now = clock_wall();
	struct jwt_access c = { .iss = STR("https://gateway.example"), .iat = now / CLOCK_SEC,
		.exp = now / CLOCK_SEC + 300, .auth_time = now / CLOCK_SEC, .sub = id_new(now),
		.sid = id_new(now), .jti = id_new(now), .amr = JWT_AMR_PWD | JWT_AMR_OTP | JWT_AMR_MFA };
	const json_t *aud = json_object_get(req, "audience");
	struct keyring *ring = NULL;
	struct buf token, jwks;
	json_t *out;
	enum err e;

	for (size_t i = 0; i < json_array_size(aud) && i < JWT_AUD_MAX; i++)
		c.aud[i] = str_c(json_string_value(json_array_get(aud, i)));
	buf_init(&token, 65536);
	buf_init(&jwks, 65536);
	e = new_ring(&ring);
	if (e == OK)
		e = jwt_access_issue(ring, &c, &token);
	if (e == OK)
		keyring_write_jwks(ring, now, &jwks);
	out = e == OK ? json_pack("{s:s%,s:o}", "token", token.p, token.n, "jwks",
	                    json_loadb(jwks.p, jwks.n, JSON_REJECT_DUPLICATES, NULL))
	              : refused(e, NULL);
	keyring_unref(ring);
	buf_release(&token);
	buf_release(&jwks);
	return out;
}

static json_t *answer(const json_t *req)
{
	struct str op = text(req, "op");

	if (str_eqc(op, "access"))
		return do_access(req);
	if (str_eqc(op, "sign"))
		return do_sign(req);
	return str_eqc(op, "verify") ? do_verify(req) : refused(E_USAGE, NULL);
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		json_t *req = json_loadb(line, (size_t)n, 0, NULL), *out = answer(req);

		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		fflush(stdout);
		json_decref(out);
		json_decref(req);
	}
	free(line);
	return 0;
}
