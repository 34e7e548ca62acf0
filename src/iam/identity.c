#include "iam/identity.h"

#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/token.h"
#include "iam/mfa.h"
#include "iam/session.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS "i.id, i.principal, i.issuer, i.subject, i.email, i.last_used_at, i.created_at"
#define STATE "oidc_state"
#define CODE "oidc_handoff"
#define FINISH "oidc_finish"
#define READ_MAX (64u << 10)
#define TRIM_AT_ONCE 100 /* expired rows that each new one takes along */

static struct str hash_str(const unsigned char hash[TOKEN_HASH])
{
	return str_n((const char *)hash, TOKEN_HASH);
}

/* ---- identities ------------------------------------------------------------------------------ */

static void from_row(const struct store_rows *r, size_t n, void *item)
{
	*(struct user_identity *)item = (struct user_identity){
		.id = store_id(r, n, 0),
		.user = store_id(r, n, 1),
		.issuer = store_str(r, n, 2),
		.subject = store_str(r, n, 3),
		.email = store_str(r, n, 4),
		.last_used_at = store_int(r, n, 5),
		.created_at = store_int(r, n, 6),
	};
}

static enum err read_one(struct store *s, const struct store_stmt *q, struct arena *a,
    struct user_identity *out, struct fail *f)
{
	return store_one(s, STORE_LINEAR, q, a, from_row, "there is no such identity", out, f);
}

enum err identity_find(struct store *s, struct str issuer, struct str subject, struct arena *a,
    struct user_identity *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM identity i WHERE i.issuer = ? AND i.subject = ?",
	    SV_TEXT(issuer), SV_TEXT(subject));

	return read_one(s, &q, a, out, f);
}

enum err identity_by_id(struct store *s, struct id user, struct id id, struct arena *a,
    struct user_identity *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM identity i WHERE i.id = ? AND i.principal = ?",
	    SV_ID(&id), SV_ID(&user));

	return read_one(s, &q, a, out, f);
}

enum err identity_list(struct store *s, struct id user, const struct id *after, int64_t limit,
    struct arena *a, struct user_identity **out, size_t *n, struct fail *f)
{
	static const struct id zero;
	struct store_stmt q = STMT("SELECT " COLUMNS " FROM identity i"
	    " WHERE i.principal = ? AND i.id > ? ORDER BY i.id LIMIT ?",
	    SV_ID(&user), SV_ID(after != NULL ? after : &zero), SV_INT(limit));

	return STORE_LIST(s, STORE_FRESH, &q, a, from_row, out, n, f);
}

void identity_insert(struct write *w, const struct user_identity *i, struct str verified_fold)
{
	if (verified_fold.p != NULL)
		WRITE1(w, E_LINK_REQUIRED, "UPDATE user SET updated_at = updated_at WHERE id = ?"
		    " AND email_fold = ? AND email_verified_at IS NOT NULL",
		    SV_ID(&i->user), SV_TEXT(verified_fold));
	WRITE1(w, E_IDENTITY_TAKEN,
	    "INSERT INTO identity (id, issuer, subject, principal, email, last_used_at, created_at)"
	    " SELECT ?, ?, ?, id, ?, ?, ? FROM user WHERE id = ? AND disabled = 0"
	    " AND NOT EXISTS (SELECT 1 FROM identity WHERE issuer = ? AND subject = ?)",
	    SV_ID(&i->id), SV_TEXT(i->issuer), SV_TEXT(i->subject), sv_text_or_null(i->email),
	    sv_int_or_null(i->last_used_at), SV_INT(w->now), SV_ID(&i->user), SV_TEXT(i->issuer),
	    SV_TEXT(i->subject));
	write_change_id(w, CHANGE_CREDENTIAL, &i->id);
}

void identity_use(struct write *w, struct id id, struct id user, struct str email)
{
	WRITE1(w, E_INVALID_CREDENTIALS, "UPDATE identity SET last_used_at = ?, email = coalesce(?, email)"
	    " WHERE id = ? AND principal = ?",
	    SV_INT(w->now), sv_text_or_null(email), SV_ID(&id), SV_ID(&user));
}

void identity_note_use(struct store *s, const struct user_identity *i, int64_t now)
{
	const struct store_stmt note = STMT("UPDATE identity SET last_used_at = ? WHERE id = ?",
	    SV_INT(now), SV_ID(&i->id));

	if (i->last_used_at + IDENTITY_USE_NOTED_US <= now)
		(void)store_write(s, &(struct store_batch){ .op_id = id_new(now), .stmts = &note, .n = 1 },
		    NULL, NULL);
}

void oidc_handoff_end_all(struct write *w, struct id user)
{
	WRITE(w, "DELETE FROM oidc_handoff WHERE principal = ?", SV_ID(&user));
}

void identity_delete(struct write *w, const struct user_identity *i, struct str issuer,
    const struct id *keep)
{
	WRITE1(w, E_LAST_WAY_IN, "UPDATE user SET updated_at = updated_at WHERE id = ?"
	    " AND (password_phc IS NOT NULL OR EXISTS (SELECT 1 FROM identity o"
	    " WHERE o.principal = user.id AND o.id <> ? AND o.issuer = ?))",
	    SV_ID(&i->user), SV_ID(&i->id), sv_text_or_null(issuer));
	WRITE1(w, E_NOT_FOUND, "DELETE FROM identity WHERE id = ? AND principal = ?",
	    SV_ID(&i->id), SV_ID(&i->user));
	write_change_id(w, CHANGE_CREDENTIAL, &i->id);
	session_end_all(w, i->user, keep, SESSION_UNLINKED);
	mfa_challenge_end_all(w, i->user);
	oidc_handoff_end_all(w, i->user);
}

void identity_delete_all(struct write *w, struct id user)
{
	WRITE(w, "INSERT INTO change (kind, key, at) SELECT 'credential', id, ? FROM identity"
	    " WHERE principal = ?", SV_INT(w->now), SV_ID(&user));
	w->changes = true;
	WRITE(w, "DELETE FROM identity WHERE principal = ?", SV_ID(&user));
	oidc_handoff_end_all(w, user);
}

/* ---- what happens once ----------------------------------------------------------------------- */

void oidc_state_use(struct write *w, struct str state, int64_t expires_at)
{
	unsigned char hash[TOKEN_HASH];

	if (token_hash(STATE, state, hash) != OK) {
		w->err = w->err != OK ? w->err : E_OIDC_STATE;
		return;
	}
	WRITE(w, "DELETE FROM oidc_state WHERE hash IN"
	    " (SELECT hash FROM oidc_state WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
	    SV_INT(w->now), SV_INT(TRIM_AT_ONCE));
	WRITE1(w, E_OIDC_STATE, "INSERT INTO oidc_state (hash, expires_at) SELECT ?, ?"
	    " WHERE NOT EXISTS (SELECT 1 FROM oidc_state WHERE hash = ?)",
	    SV_BLOB(hash_str(hash)), SV_INT(expires_at), SV_BLOB(hash_str(hash)));
}

enum err oidc_handoff_add(struct write *w, struct id user, struct id identity, struct str finish,
    char *code)
{
	unsigned char random[TOKEN_RANDOM], hash[TOKEN_HASH], finish_hash[TOKEN_HASH];
	enum err e = token_hash(FINISH, finish, finish_hash);

	if (e != OK)
		return e;
	rnd_bytes(random, sizeof random);
	token_make(CODE, random, code, hash);
	secret_wipe(random, sizeof random);
	WRITE(w, "DELETE FROM oidc_handoff WHERE hash IN"
	    " (SELECT hash FROM oidc_handoff WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
	    SV_INT(w->now), SV_INT(TRIM_AT_ONCE));
	WRITE1(w, E_INVALID_CREDENTIALS,
	    "INSERT INTO oidc_handoff (hash, finish_hash, principal, identity, expires_at)"
	    " SELECT ?, ?, id, ?, ? FROM user WHERE id = ? AND disabled = 0",
	    SV_BLOB(hash_str(hash)), SV_BLOB(hash_str(finish_hash)), SV_ID(&identity),
	    SV_INT(w->now + OIDC_HANDOFF_LIFE), SV_ID(&user));
	return OK;
}

enum err oidc_handoff_find(struct store *s, struct str code, struct str finish, int64_t now,
    struct oidc_handoff *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT principal, identity FROM oidc_handoff"
	    " WHERE hash = ? AND finish_hash = ? AND expires_at > ?", SV_BLOB(hash_str(out->hash)),
	    SV_BLOB(hash_str(out->finish_hash)), SV_INT(now));
	struct store_rows rows;
	struct arena a;
	enum err e;

	if (token_hash(CODE, code, out->hash) != OK || token_hash(FINISH, finish, out->finish_hash) != OK)
		return fail_code(f, E_TOKEN_INVALID);
	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, &q, 1, &a, &rows, f);
	if (e == OK && rows.nrows == 0) {
		e = fail_code(f, E_TOKEN_INVALID);
	} else if (e == OK) {
		out->user = store_id(&rows, 0, 0);
		out->identity = store_id(&rows, 0, 1);
	}
	arena_release(&a);
	return e;
}

void oidc_handoff_use(struct write *w, const struct oidc_handoff *h)
{
	WRITE1(w, E_TOKEN_INVALID,
	    "DELETE FROM oidc_handoff WHERE hash = ? AND finish_hash = ? AND expires_at > ?",
	    SV_BLOB(hash_str(h->hash)), SV_BLOB(hash_str(h->finish_hash)), SV_INT(w->now));
}
