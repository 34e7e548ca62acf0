#include "crypto/jwks.h"

#include <jansson.h>

#include "base/heap.h"
#include "crypto/jws_key.h"

#define KID_MAX 256
#define ENTRIES (2 * JWKS_KEYS)

struct entry {
	char *kid; /* NULL: it has none */
	size_t kid_n;
	struct jws_key *key;
};

struct jwks {
	size_t n;
	struct entry v[ENTRIES];
};

void jwks_free(struct jwks *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++) {
		heap_free(s->v[i].kid);
		jws_key_free(s->v[i].key);
	}
	heap_free(s);
}

size_t jwks_count(const struct jwks *s)
{
	return s->n;
}

/* Takes the key. */
static enum err keep(struct jwks *s, const json_t *kid, struct jws_key *key)
{
	struct entry *e = &s->v[s->n];

	*e = (struct entry){ .key = key };
	if (kid != NULL) {
		e->kid_n = json_string_length(kid);
		e->kid = heap_dup(json_string_value(kid), e->kid_n + 1);
		if (e->kid == NULL) {
			jws_key_free(key);
			return E_NOMEM;
		}
	}
	s->n++;
	return OK;
}

/* Only being out of memory is an error. */
static enum err add(struct jwks *s, const json_t *jwk)
{
	struct jws_key *key = NULL;
	enum err e = jws_key_from_jwk(jwk, &key, NULL);

	if (e == E_INVALID_FIELD)
		return OK;
	return e == OK ? keep(s, json_object_get(jwk, "kid"), key) : e;
}

/* RSA without `alg` signs with either padding: the key decides the algorithm, so it becomes two. */
static enum err add_both(struct jwks *s, const json_t *jwk)
{
	static const char *const algs[] = { "RS256", "PS256" };
	enum err e = OK;

	for (int i = 0; i < 2 && e == OK; i++) {
		json_t *copy = json_copy((json_t *)(uintptr_t)jwk);

		if (copy == NULL || json_object_set_new(copy, "alg", json_string(algs[i])) != 0)
			e = E_NOMEM;
		else
			e = add(s, copy);
		json_decref(copy);
	}
	return e;
}

static bool is_rsa(const json_t *jwk)
{
	const char *kty = json_string_value(json_object_get(jwk, "kty"));

	return kty != NULL && strcmp(kty, "RSA") == 0;
}

static bool has_private_part(const json_t *jwk)
{
	return json_object_get(jwk, "d") != NULL || json_object_get(jwk, "k") != NULL;
}

static enum err add_any(struct jwks *s, const json_t *jwk)
{
	const json_t *kid = json_object_get(jwk, "kid");

	if (!json_is_object(jwk) || has_private_part(jwk) ||
	    (kid != NULL && (!json_is_string(kid) || json_string_length(kid) > KID_MAX)))
		return OK;
	return is_rsa(jwk) && json_object_get(jwk, "alg") == NULL ? add_both(s, jwk) : add(s, jwk);
}

static enum err add_all(struct jwks *s, const json_t *root, struct fail *f)
{
	const json_t *keys = json_object_get(root, "keys"), *jwk;
	enum err e = OK;
	size_t i;

	if (!json_is_array(keys) || json_array_size(keys) > JWKS_KEYS)
		return fail_set(f, E_INVALID_FIELD, "the key set has no array of at most %d keys", JWKS_KEYS);
	json_array_foreach(keys, i, jwk)
		if ((e = add_any(s, jwk)) != OK)
			return fail_code(f, e);
	return s->n > 0 ? OK : fail_set(f, E_INVALID_FIELD, "the key set has no key that can be used");
}

enum err jwks_parse(struct str text, struct jwks **out, struct fail *f)
{
	struct jwks *s;
	json_error_t je;
	json_t *root;
	enum err e;

	if (text.n > JWKS_TEXT_MAX)
		return fail_set(f, E_INVALID_FIELD, "the key set is larger than %u bytes", JWKS_TEXT_MAX);
	root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &je);
	if (root == NULL)
		return fail_set(f, E_INVALID_FIELD, "the key set is not JSON: line %d: %s", je.line, je.text);
	s = heap_zalloc(sizeof *s);
	e = s != NULL ? add_all(s, root, f) : fail_code(f, E_NOMEM);
	json_decref(root);
	if (e == OK)
		*out = s;
	else
		jwks_free(s);
	return e;
}

static bool has_kid(const struct entry *e, struct str kid)
{
	return e->kid != NULL && str_eq(str_n(e->kid, e->kid_n), kid);
}

const struct jws_key *jwks_find(const struct jwks *s, struct str kid, struct str alg)
{
	const struct jws_key *found = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->v[i];

		if (!str_eqc(alg, jws_alg_name(e->key->alg)) || (kid.p != NULL && !has_kid(e, kid)))
			continue;
		if (kid.p != NULL)
			return e->key;
		if (found != NULL)
			return NULL;
		found = e->key;
	}
	return found;
}

enum err jwks_verify(const struct jwks *s, const struct jws *j)
{
	const struct jws_key *key = jwks_find(s, j->kid, j->alg);

	return key != NULL ? jws_verify(j, key) : E_NOT_FOUND;
}
