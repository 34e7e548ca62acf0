#include "authn/token_cache.h"

#include <stddef.h>
#include <stdio.h>

#include "base/heap.h"
#include "base/secret.h"
#include "crypto/keyring.h"
#include "iam/principal.h"

#define HASHED 48

enum err token_cache_init(struct token_cache *c, size_t max)
{
	*c = (struct token_cache){ .key = siphash_key_new(), .second = siphash_key_new() };
	return lru_init(&c->map, max);
}

/* Only the end of the signature is hashed. Every token in the map has one of ours, so whoever
 * presents others with the same end makes no chain longer; the comparison is of the whole. */
static uint64_t hash_of(const struct token_cache *c, struct str text)
{
	return siphash(&c->key, text.n > HASHED ? str_skip(text, text.n - HASHED) : text);
}

static struct token *token_of(struct lru_node *n)
{
	return (struct token *)((char *)n - offsetof(struct token, node));
}

void token_cache_release(struct token_cache *c)
{
	while (c->map.oldest != NULL)
		token_cache_remove(c, token_of(c->map.oldest));
	lru_release(&c->map);
}

struct token *token_cache_find(struct token_cache *c, struct str text)
{
	struct lru_node *n = lru_first(&c->map, hash_of(c, text));

	for (; n != NULL; n = lru_next(n)) {
		struct token *t = token_of(n);

		if (str_eq(str_n(t->text, t->n), text)) {
			lru_touch(&c->map, n);
			return t;
		}
	}
	return NULL;
}

/* Replaces what is there; `more` bytes are left behind the text. */
static struct token *add(struct token_cache *c, struct str text, size_t more, int64_t until)
{
	struct token *t = token_cache_find(c, text);

	if (t != NULL)
		token_cache_remove(c, t);
	t = heap_zalloc(sizeof *t + text.n + more);
	if (t == NULL)
		return NULL;
	t->until = until;
	t->n = text.n;
	t->more = more;
	memcpy(t->text, text.p, text.n);
	lru_insert(&c->map, &t->node, hash_of(c, text));
	if (lru_excess(&c->map) != NULL)
		token_cache_remove(c, token_of(lru_excess(&c->map)));
	return t;
}

struct token *token_cache_add(struct token_cache *c, struct str text, struct str kid,
    const struct identity *who, int64_t until)
{
	struct token *t = add(c, text, 0, until);

	if (t == NULL)
		return NULL;
	t->who = *who;
	snprintf(t->kid, sizeof t->kid, "%.*s", STR_ARG(kid));
	return t;
}

struct token *token_cache_add_external(struct token_cache *c, struct str text,
    const struct issuer *issuer, uint64_t key_version, struct str subject, struct str scopes,
    int64_t until)
{
	struct token *t = add(c, text, subject.n + scopes.n, until);

	if (t == NULL)
		return NULL;
	t->issuer = issuer;
	t->key_version = key_version;
	t->subject = str_n(t->text + text.n, subject.n);
	memcpy(t->text + text.n, subject.p, subject.n);
	t->scopes = scopes.p != NULL ? str_n(t->text + text.n + subject.n, scopes.n) : STR_NONE;
	if (scopes.n > 0)
		memcpy(t->text + text.n + subject.n, scopes.p, scopes.n);
	return t;
}

void token_cache_remove(struct token_cache *c, struct token *t)
{
	lru_remove(&c->map, &t->node);
	principal_unref(t->principal);
	secret_wipe(t->text, t->n + t->more);
	heap_free(t);
}

/* False: the key of t is gone. Its end may have come nearer. */
static bool keep_key(struct token *t, const struct keyring *k)
{
	const struct keyring_entry *e = k != NULL ? keyring_find(k, str_c(t->kid)) : NULL;

	if (e != NULL && e->not_after != 0 && e->not_after < t->until)
		t->until = e->not_after;
	return e != NULL;
}

void token_cache_keep_keys(struct token_cache *c, const struct keyring *k)
{
	for (struct lru_node *n = c->map.oldest, *next; n != NULL; n = next) {
		next = n->newer;
		if (token_of(n)->issuer == NULL && !keep_key(token_of(n), k))
			token_cache_remove(c, token_of(n));
	}
	token_cache_forget_bad(c);
}

void token_cache_forget_bad(struct token_cache *c)
{
	memset(c->bad, 0, sizeof c->bad);
}

bool token_cache_is_bad(const struct token_cache *c, struct str text)
{
	uint64_t a = siphash(&c->key, text);

	return c->bad[a % BAD_TOKENS].a == a && c->bad[a % BAD_TOKENS].b == siphash(&c->second, text);
}

void token_cache_add_bad(struct token_cache *c, struct str text)
{
	uint64_t a = siphash(&c->key, text);

	c->bad[a % BAD_TOKENS].a = a;
	c->bad[a % BAD_TOKENS].b = siphash(&c->second, text);
}
