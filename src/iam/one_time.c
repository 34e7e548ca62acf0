#include "iam/one_time.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "iam/write.h"
#include "store/store.h"

#define READ_MAX (64u << 10)
#define TRIM_AT_ONCE 100 /* expired rows that each new token takes along */

/* The name is the kind in the table and the token's purpose in its hash. */
static const struct {
	const char *name;
	int64_t life;
} kinds[] = {
	[ONE_TIME_VERIFY] = { "verify", 24 * 3600 * CLOCK_SEC },
	[ONE_TIME_RESET] = { "reset", 1800 * CLOCK_SEC },
};

/* A token is good: for the hash and the time. */
#define GOOD \
	" WHERE hash = ? AND used_at IS NULL AND expires_at > ? AND EXISTS (SELECT 1 FROM user u" \
	" WHERE u.id = one_time_token.principal AND u.disabled = 0" \
	" AND u.email_fold = one_time_token.email_fold)"

static struct str hash_str(const unsigned char hash[TOKEN_HASH])
{
	return str_n((const char *)hash, TOKEN_HASH);
}

int64_t one_time_life(enum one_time_kind k)
{
	return kinds[k].life;
}

void one_time_add(struct write *w, enum one_time_kind k, struct id user, struct str email_fold,
    char token[TOKEN_LEN])
{
	unsigned char random[TOKEN_RANDOM], hash[TOKEN_HASH];

	rnd_bytes(random, sizeof random);
	token_make(kinds[k].name, random, token, hash);
	secret_wipe(random, sizeof random);
	WRITE(w, "DELETE FROM one_time_token WHERE hash IN"
	    " (SELECT hash FROM one_time_token WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
	    SV_INT(w->now), SV_INT(TRIM_AT_ONCE));
	one_time_end(w, k, user);
	WRITE1(w, OK, "INSERT INTO one_time_token (hash, kind, principal, email_fold, expires_at,"
	    " created_at) VALUES (?, ?, ?, ?, ?, ?)",
	    SV_BLOB(hash_str(hash)), SV_Z(kinds[k].name), SV_ID(&user), SV_TEXT(email_fold),
	    SV_INT(w->now + kinds[k].life), SV_INT(w->now));
}

enum err one_time_find(struct store *s, enum one_time_kind k, struct str token, int64_t now,
    struct one_time *out, struct fail *f)
{
	struct store_stmt find = STMT("SELECT principal FROM one_time_token" GOOD,
	    SV_BLOB(hash_str(out->hash)), SV_INT(now));
	struct store_rows rows;
	struct arena a;
	enum err e = token_hash(kinds[k].name, token, out->hash);

	if (e != OK)
		return fail_code(f, e);
	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, &find, 1, &a, &rows, f);
	if (e == OK && rows.nrows == 0)
		e = fail_code(f, E_TOKEN_INVALID);
	else if (e == OK)
		out->user = store_id(&rows, 0, 0);
	arena_release(&a);
	return e;
}

void one_time_use(struct write *w, const struct one_time *t)
{
	WRITE1(w, E_TOKEN_INVALID, "UPDATE one_time_token SET used_at = ?" GOOD,
	    SV_INT(w->now), SV_BLOB(hash_str(t->hash)), SV_INT(w->now));
}

void one_time_end(struct write *w, enum one_time_kind k, struct id user)
{
	WRITE(w, "DELETE FROM one_time_token WHERE principal = ? AND kind = ?", SV_ID(&user),
	    SV_Z(kinds[k].name));
}

void one_time_end_all(struct write *w, struct id user)
{
	WRITE(w, "DELETE FROM one_time_token WHERE principal = ?", SV_ID(&user));
}
