/* The JSON of strangers where it costs most: the input is a token's payload (then its claims are
 * read, as those of ours and as those of another issuer) and a token's header (then the token is put together and taken apart). Whatever our strict
 * reader takes, jansson must take too, with the same claims; but for numbers past a double, which
 * jansson refuses and we pass over unread where they mean nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/hex.h"
#include "crypto/jws.h"
#include "crypto/jwt.h"
#include "crypto/jwt_external.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What jansson makes of it; NULL when a number is too large for it. */
static json_t *by_jansson(const uint8_t *data, size_t n)
{
	json_error_t err;
	json_t *o = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES, &err);

	if (o == NULL && json_error_code(&err) != json_error_numeric_overflow)
		abort();
	return o;
}

static int64_t time_of(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static void same_text(const json_t *v, struct str s)
{
	if (!json_is_string(v) || json_string_length(v) != s.n ||
	    memcmp(json_string_value(v), s.p, s.n) != 0)
		abort();
}

static void claims(const uint8_t *data, size_t n)
{
	char *payload = malloc(n > 0 ? n : 1);
	struct jws j = { .typ = STR("at+jwt"), .payload = { payload, n } };
	struct jwt_access c;

	memcpy(payload, data, n);
	if (jwt_access_parse(&j, &c) == OK) {
		json_t *o = by_jansson(data, n);

		if (o == NULL)
			goto out;
		if (time_of(o, "exp") != c.exp || time_of(o, "iat") != c.iat ||
		    time_of(o, "nbf") != c.nbf || time_of(o, "auth_time") != c.auth_time)
			abort();
		same_text(json_object_get(o, "iss"), c.iss);
		if (json_is_string(json_object_get(o, "aud")))
			same_text(json_object_get(o, "aud"), c.aud[0]);
		json_decref(o);
	}
out:
	free(payload);
}

/* Each scope is one of the array's, in its order. */
static void same_scopes(const json_t *v, struct str scopes)
{
	const json_t *one;
	size_t i;

	if (json_is_string(v)) {
		same_text(v, scopes);
		return;
	}
	json_array_foreach(v, i, one) {
		size_t n = json_string_length(one);

		if (n > scopes.n || memcmp(scopes.p, json_string_value(one), n) != 0)
			abort();
		scopes = str_skip(scopes, n);
		if (scopes.n > 0 && *scopes.p == ' ')
			scopes = str_skip(scopes, 1);
	}
	if (scopes.n != 0)
		abort();
}

static void external(const uint8_t *data, size_t n)
{
	static const struct jwt_external_rules rules = { STR("gw"), STR("sub"), STR("scope") };
	char *payload = malloc(n > 0 ? n : 1), *copy = malloc(n > 0 ? n : 1);
	struct jws j = { .typ = STR("at+jwt"), .payload = { payload, n } };
	struct jwt_external c;
	json_t *o = NULL;
	struct str iss;

	memcpy(payload, data, n);
	if (jwt_external_issuer(&j, copy, n, &iss) == OK && (o = by_jansson(data, n)) != NULL)
		same_text(json_object_get(o, "iss"), iss);
	json_decref(o);
	o = NULL;
	if (jwt_external_parse(&j, &rules, &c) == OK && (o = by_jansson(data, n)) != NULL) {
		if (time_of(o, "exp") != c.exp || time_of(o, "iat") != c.iat || time_of(o, "nbf") != c.nbf ||
		    json_object_get(o, "cnf") != NULL)
			abort();
		same_text(json_object_get(o, "sub"), c.subject);
		if (c.scopes.p != NULL)
			same_scopes(json_object_get(o, "scope"), c.scopes);
	}
	json_decref(o);
	free(payload);
	free(copy);
}

static void header(const uint8_t *data, size_t n)
{
	size_t len = B64U_LEN(n) + sizeof ".e30.AAAA" - 1;
	char *token = malloc(len), *scratch = malloc(len);
	struct jws j;

	memcpy(token + b64u_encode(data, n, token), ".e30.AAAA", sizeof ".e30.AAAA" - 1);
	if (jws_parse(str_n(token, len), scratch, len, &j) == OK) {
		json_t *o = by_jansson(data, n);

		if (o == NULL)
			goto out;
		same_text(json_object_get(o, "alg"), j.alg);
		if (j.kid.p != NULL)
			same_text(json_object_get(o, "kid"), j.kid);
		if (json_object_get(o, "jwk") != NULL || json_object_get(o, "crit") != NULL)
			abort();
		json_decref(o);
	}
out:
	free(token);
	free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	claims(data, n);
	external(data, n);
	header(data, n);
	return 0;
}
