#include "iam/signing_key.h"

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/secret.h"
#include "crypto/keyring.h"
#include "crypto/seal.h"
#include "iam/write.h"
#include "store/list.h"

#define AD_LEN 64

static const char *const states[] = {
	[KEY_NEXT] = "next",
	[KEY_ACTIVE] = "active",
	[KEY_RETIRED] = "retired",
	[KEY_REVOKED] = "revoked",
};

static struct str ad_of(struct str kid, char out[AD_LEN])
{
	int n = snprintf(out, AD_LEN, "signing_key:%.*s", STR_ARG(kid));

	return str_n(out, n < AD_LEN ? (size_t)n : AD_LEN - 1);
}

/* ---- making --------------------------------------------------------------------------------- */

static enum err seal_private(const struct seal *seal, const struct jws_key *key, struct str kid,
    struct buf *out)
{
	unsigned char d[32];
	char ad[AD_LEN];
	enum err e = jws_key_private(key, d);

	if (e == OK)
		e = seal_close(seal, ad_of(kid, ad), str_n((char *)d, sizeof d), out);
	secret_wipe(d, sizeof d);
	return e;
}

/* Appends the insertion of a new key; not when `unless_active` and there is an active one (E_GUARD). */
static enum err insert_new(struct write *w, const struct seal *seal, enum key_state state,
    bool unless_active, struct fail *f)
{
	struct buf sealed, jwk;
	struct jws_key *key = NULL;
	char kid[44];
	enum err e;

	buf_init(&sealed, 256);
	buf_init(&jwk, 1024);
	e = jws_key_generate(&key, f);
	if (e != OK)
		goto out;
	jws_key_thumbprint(key, kid);
	jws_key_write_jwk(key, str_c(kid), &jwk);
	e = seal_private(seal, key, str_c(kid), &sealed);
	if (e == OK)
		e = buf_err(&jwk);
	if (e != OK) {
		fail_set(f, e, "a new signing key could not be sealed");
		goto out;
	}
	WRITE1(w, E_GUARD,
	    "INSERT INTO signing_key (kid, alg, state, private_sealed, public_jwk, created_at, updated_at)"
	    " SELECT ?, 'ES256', ?, ?, ?, ?, ? WHERE ? = 0"
	    " OR NOT EXISTS (SELECT 1 FROM signing_key WHERE state = 'active')",
	    SV_Z(kid), SV_Z(states[state]), SV_BLOB(buf_str(&sealed)), SV_TEXT(buf_str(&jwk)),
	    SV_INT(w->now), SV_INT(w->now), SV_INT(unless_active));
out:
	jws_key_free(key);
	buf_release(&jwk);
	buf_release(&sealed);
	return e;
}

static enum err has_row(struct store *s, const struct store_stmt *q, bool *yes, struct fail *f)
{
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, 4096);
	e = store_read(s, STORE_LINEAR, q, 1, &a, &rows, f);
	if (e == OK)
		*yes = rows.nrows > 0;
	arena_release(&a);
	return e;
}

enum err signing_key_any(struct store *s, bool *any, struct fail *f)
{
	return has_row(s, &(const struct store_stmt)STMT("SELECT 1 FROM signing_key LIMIT 1"), any, f);
}

enum err iam_signing_key_ensure(struct store *s, const struct seal *seal, int64_t now, struct fail *f)
{
	struct arena a;
	struct write w;
	bool yes = false;
	enum err e;

	arena_init(&a, 65536);
	write_init(&w, &a, now);
	e = has_row(s, &(const struct store_stmt)STMT("SELECT 1 FROM signing_key WHERE state = 'active'"),
	    &yes, f);
	if (e != OK || yes)
		goto out;
	e = insert_new(&w, seal, KEY_NEXT, true, f);
	if (e == OK)
		e = insert_new(&w, seal, KEY_ACTIVE, true, f);
	if (e != OK)
		goto out;
	write_change(&w, CHANGE_KEY, STR(""));
	e = write_run(&w, s, f);
	if (e == E_GUARD || e == E_CONSTRAINT) { /* another replica was faster */
		fail_clear(f);
		e = OK;
	}
out:
	arena_release(&a);
	return e;
}

/* ---- loading -------------------------------------------------------------------------------- */

static enum err open_private(const struct seal *seal, struct str kid, struct str sealed,
    struct jws_key **key, struct fail *f)
{
	struct buf plain;
	char ad[AD_LEN];
	enum err e;

	buf_init_secret(&plain, 64);
	e = seal_open(seal, ad_of(kid, ad), sealed, &plain);
	if (e != OK || plain.n != 32)
		e = fail_set(f, E_CONFIG, "auth.master_key does not open signing key %.*s: "
		    "is it the key that this store was made with?", STR_ARG(kid));
	else
		e = jws_key_from_private((unsigned char *)plain.p, key, f);
	buf_release(&plain);
	return e;
}

static enum err public_key(struct str text, struct jws_key **key, struct fail *f)
{
	json_t *jwk = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	enum err e = jwk == NULL ? fail_set(f, E_INTERNAL, "a signing key's public part is not JSON") :
	    jws_key_from_jwk(jwk, key, f);

	json_decref(jwk);
	return e;
}

static enum key_state state_of(struct str s)
{
	for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
		if (str_eqc(s, states[i]))
			return (enum key_state)i;
	return KEY_REVOKED;
}

/* kid, state, private_sealed, public_jwk, not_after */
static enum err entry_from_row(const struct store_rows *r, size_t i, const struct seal *seal,
    struct keyring_entry *out, struct fail *f)
{
	struct str kid = store_str(r, i, 0);

	if (kid.n >= sizeof out->kid)
		return fail_set(f, E_INTERNAL, "a signing key has a kid that is too long");
	*out = (struct keyring_entry){
		.state = state_of(store_str(r, i, 1)),
		.not_after = store_int(r, i, 4),
	};
	memcpy(out->kid, kid.p, kid.n);
	if (store_is_null(r, i, 2))
		return public_key(store_str(r, i, 3), &out->key, f);
	return open_private(seal, kid, store_str(r, i, 2), &out->key, f);
}

enum err iam_keyring_load(struct store *s, const struct seal *seal, int64_t now,
    struct keyring **out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT kid, state, private_sealed, public_jwk, not_after"
	    " FROM signing_key WHERE state <> 'revoked' AND (not_after IS NULL OR not_after > ?)",
	    SV_INT(now));
	struct keyring_entry *entries = NULL;
	struct store_rows rows;
	struct arena a;
	size_t n = 0;
	enum err e;

	arena_init(&a, 1 << 20);
	e = store_read(s, STORE_LINEAR, &q, 1, &a, &rows, f);
	if (e != OK)
		goto out;
	entries = arena_zalloc(&a, (rows.nrows + 1) * sizeof *entries);
	if (entries == NULL)
		e = fail_code(f, E_NOMEM);
	for (; e == OK && n < rows.nrows; n++) {
		e = entry_from_row(&rows, n, seal, &entries[n], f);
		if (e != OK)
			break;
	}
	if (e == OK) {
		e = keyring_new_take(entries, n, out);
		if (e != OK)
			fail_code(f, e);
	} else {
		while (n > 0)
			jws_key_free(entries[--n].key);
	}
out:
	arena_release(&a);
	return e;
}

/* ---- rotation ------------------------------------------------------------------------------- */

/* The active key and the next one, as they are now. */
struct pair {
	struct str active, next;
	int64_t active_since, next_since;
};

static enum err read_pair(struct store *s, struct arena *a, struct pair *out, struct fail *f)
{
	enum { COL_KID, COL_STATE, COL_CREATED_AT, COL_UPDATED_AT };
	struct store_stmt q = STMT("SELECT kid, state, created_at, updated_at FROM signing_key"
	    " WHERE state IN ('active', 'next') ORDER BY created_at DESC");
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);

	*out = (struct pair){ STR_NONE, STR_NONE, 0, 0 };
	for (size_t i = 0; e == OK && i < rows.nrows; i++) {
		bool active = str_eqc(store_str(&rows, i, COL_STATE), states[KEY_ACTIVE]);

		*(active ? &out->active : &out->next) = store_str(&rows, i, COL_KID);
		if (active)
			out->active_since = store_int(&rows, i, COL_UPDATED_AT); /* else it never changed */
		else
			out->next_since = store_int(&rows, i, COL_CREATED_AT);
	}
	if (e == OK && (out->active.p == NULL || out->next.p == NULL))
		e = fail_set(f, E_CONFLICT, "there is no %s signing key",
		    out->active.p == NULL ? "active" : "next");
	return e;
}

/* The next key signs from now on, and a new one stands behind it. */
static enum err promote(struct write *w, const struct seal *seal, struct str next, struct fail *f)
{
	WRITE1(w, E_CONFLICT,
	    "UPDATE signing_key SET state = 'active', version = version + 1, updated_at = ?"
	    " WHERE kid = ? AND state = 'next'", SV_INT(w->now), SV_TEXT(next));
	return insert_new(w, seal, KEY_NEXT, false, f);
}

static enum err rotate(struct write *w, const struct seal *seal, const struct pair *p, int64_t keep,
    struct fail *f)
{
	WRITE1(w, E_CONFLICT,
	    "UPDATE signing_key SET state = 'retired', not_after = ?, private_sealed = NULL,"
	    " version = version + 1, updated_at = ? WHERE kid = ? AND state = 'active'",
	    SV_INT(w->now + keep), SV_INT(w->now), SV_TEXT(p->active));
	WRITE(w, "DELETE FROM signing_key WHERE state IN ('retired', 'revoked') AND not_after < ?",
	    SV_INT(w->now - SIGNING_KEY_KEEP_US));
	write_change(w, CHANGE_KEY, STR(""));
	return promote(w, seal, p->next, f);
}

enum err signing_key_rotate(struct write *w, struct store *s, const struct seal *seal,
    int64_t keep, struct str *kid, struct fail *f)
{
	struct pair p;
	enum err e = read_pair(s, w->a, &p, f);

	*kid = p.next;
	return e == OK ? rotate(w, seal, &p, keep, f) : e;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

enum err signing_key_rotate_due(struct write *w, struct store *s, const struct seal *seal,
    const struct signing_key_schedule *when, struct str *kid, int64_t *due, struct fail *f)
{
	struct pair p;
	enum err e = read_pair(s, w->a, &p, f);

	*kid = STR_NONE;
	if (e != OK)
		return e;
	*due = later(p.active_since + when->period, p.next_since + when->lead);
	if (*due > w->now)
		return OK;
	*due = w->now + later(when->period, when->lead);
	*kid = p.next;
	return rotate(w, seal, &p, when->keep, f);
}

/* ---- revocation ----------------------------------------------------------------------------- */

static enum err state_now(struct store *s, struct arena *a, struct str kid, enum key_state *out,
    struct fail *f)
{
	struct store_stmt q = STMT("SELECT state FROM signing_key WHERE kid = ?", SV_TEXT(kid));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);

	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return fail_set(f, E_NOT_FOUND, "there is no such signing key");
	*out = state_of(store_str(&rows, 0, 0));
	return *out != KEY_REVOKED ? OK : fail_set(f, E_CONFLICT, "the signing key is revoked already");
}

enum err signing_key_revoke(struct write *w, struct store *s, const struct seal *seal, struct str kid,
    struct str *active, struct fail *f)
{
	enum key_state was;
	struct pair p;
	enum err e = state_now(s, w->a, kid, &was, f);

	if (e == OK)
		e = read_pair(s, w->a, &p, f);
	if (e != OK)
		return e;
	*active = was == KEY_ACTIVE ? p.next : p.active;
	WRITE1(w, E_CONFLICT,
	    "UPDATE signing_key SET state = 'revoked', not_after = ?, private_sealed = NULL,"
	    " version = version + 1, updated_at = ? WHERE kid = ? AND state = ?",
	    SV_INT(w->now), SV_INT(w->now), SV_TEXT(kid), SV_Z(states[was]));
	write_change(w, CHANGE_KEY, STR(""));
	if (was == KEY_ACTIVE)
		return promote(w, seal, p.next, f);
	return was == KEY_NEXT ? insert_new(w, seal, KEY_NEXT, false, f) : OK;
}

/* ---- listing -------------------------------------------------------------------------------- */

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct signing_key *)item = (struct signing_key){
		.kid = store_str(r, i, 0),
		.alg = store_str(r, i, 1),
		.state = store_str(r, i, 2),
		.not_after = store_int(r, i, 3),
		.version = store_int(r, i, 4),
		.created_at = store_int(r, i, 5),
		.updated_at = store_int(r, i, 6),
	};
}

enum err signing_key_list(struct store *s, struct arena *a, struct signing_key **out, size_t *n,
    struct fail *f)
{
	struct store_stmt q = STMT("SELECT kid, alg, state, not_after, version, created_at, updated_at"
	    " FROM signing_key ORDER BY created_at DESC, kid");

	return STORE_LIST(s, STORE_FRESH, &q, a, from_row, out, n, f);
}
