#include "iam/session.h"

#include "base/hex.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/jwt.h"
#include "iam/write.h"
#include "store/list.h"

#define COLUMNS \
	"s.id, s.principal, s.counter, s.amr, s.auth_time, s.user_agent, s.ip, s.rotated_at," \
	" s.last_used_at, s.idle_expires_at, s.expires_at, s.ended_at, s.end_reason, s.created_at"

static const char *const end_reasons[] = {
	[SESSION_SIGNOUT] = "signout",
	[SESSION_REUSE] = "reuse",
	[SESSION_PASSWORD] = "password",
	[SESSION_ADMIN] = "admin",
	[SESSION_DISABLED] = "disabled",
	[SESSION_UNLINKED] = "unlinked",
	[SESSION_MFA] = "mfa",
	[SESSION_UNPROVEN] = "unproven",
};

static void from_row(const struct store_rows *r, size_t i, void *item)
{
	*(struct session *)item = (struct session){
		.id = store_id(r, i, 0),
		.principal = store_id(r, i, 1),
		.counter = store_int(r, i, 2),
		.amr = store_str(r, i, 3),
		.auth_time = store_int(r, i, 4),
		.user_agent = store_str(r, i, 5),
		.ip = store_str(r, i, 6),
		.rotated_at = store_int(r, i, 7),
		.last_used_at = store_int(r, i, 8),
		.idle_expires_at = store_int(r, i, 9),
		.expires_at = store_int(r, i, 10),
		.ended_at = store_int(r, i, 11),
		.end_reason = store_str(r, i, 12),
		.created_at = store_int(r, i, 13),
	};
}

bool session_is_live(const struct session *s, int64_t now)
{
	return s->ended_at == 0 && s->idle_expires_at > now && s->expires_at > now;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The token of (id, counter) and its hash. */
static void token_of(const struct seal *seal, struct id id, int64_t counter,
    char token[REFRESH_TOKEN_LEN], unsigned char hash[SHA256_LEN])
{
	refresh_token_make(seal, id, (uint64_t)counter, token);
	digest_sha256(str_n(token, REFRESH_TOKEN_LEN - 1), hash);
}

/* Was a second factor among what the person signed in with? */
static bool has_second_factor(struct str amr)
{
	return (jwt_amr_parse(amr) & (JWT_AMR_OTP | JWT_AMR_RECOVERY)) != 0;
}

void session_insert(struct write *w, const struct seal *seal, const struct session_limits *l,
    struct str phc, struct session *s)
{
	char token[REFRESH_TOKEN_LEN];
	unsigned char hash[SHA256_LEN];

	s->counter = 0;
	s->created_at = s->last_used_at = w->now;
	s->expires_at = w->now + l->max_age;
	s->idle_expires_at = earlier(w->now + l->idle, s->expires_at);
	token_of(seal, s->id, 0, token, hash);
	secret_wipe(token, sizeof token);
	WRITE1(w, E_INVALID_CREDENTIALS,
	    "INSERT INTO session (id, principal, email, counter, token_hash, amr, auth_time, user_agent,"
	    " ip, last_used_at, idle_expires_at, expires_at, created_at)"
	    " SELECT ?, id, email, 0, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM user"
	    " WHERE id = ? AND disabled = 0 AND (? IS NULL OR password_phc = ?) AND (? OR NOT EXISTS"
	    " (SELECT 1 FROM mfa_totp m WHERE m.principal = user.id AND m.secret IS NOT NULL))",
	    SV_ID(&s->id), SV_BLOB(str_n((char *)hash, sizeof hash)), SV_TEXT(s->amr),
	    SV_INT(s->auth_time), sv_text_or_null(s->user_agent), sv_text_or_null(s->ip),
	    SV_INT(w->now), SV_INT(s->idle_expires_at), SV_INT(s->expires_at), SV_INT(w->now),
	    SV_ID(&s->principal), sv_text_or_null(phc), sv_text_or_null(phc),
	    SV_INT(has_second_factor(s->amr)));
}

static void with_user(const struct store_rows *r, size_t i, void *item)
{
	struct session *s = item;

	from_row(r, i, s);
	s->email = store_str(r, i, 14);
	s->user_disabled = store_int(r, i, 15) != 0;
}

enum err session_read(struct store *s, enum store_level level, struct id id, struct arena *a,
    struct session *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT " COLUMNS ", u.email, u.disabled FROM session s"
	    " JOIN user u ON u.id = s.principal WHERE s.id = ?", SV_ID(&id));

	return store_one(s, level, &q, a, with_user, "there is no such session", out, f);
}

/* ---- rotation ------------------------------------------------------------------------------- */

/* What is to be done about a token with `counter`, by what the session looks like. */
enum verdict { ROTATE, REPEAT, REUSED, INVALID };

static enum verdict judge(const struct session *s, int64_t counter, int64_t now, int64_t grace)
{
	if (!session_is_live(s, now) || s->user_disabled || counter > s->counter)
		return INVALID;
	if (counter == s->counter)
		return ROTATE;
	if (counter == s->counter - 1 && grace > 0 && now - s->rotated_at < grace)
		return REPEAT;
	return REUSED;
}

/* What the UPDATE tells of the row that it has changed. */
static enum err from_returned(const struct store_rows *r, struct id id, int64_t now,
    struct session *s, struct fail *f)
{
	enum { PRINCIPAL, COUNTER, AMR, AUTH_TIME, IDLE_EXPIRES_AT, EXPIRES_AT, CREATED_AT, EMAIL };
	struct str principal = store_str(r, 0, PRINCIPAL);

	*s = (struct session){
		.id = id,
		.counter = store_int(r, 0, COUNTER),
		.amr = store_str(r, 0, AMR),
		.auth_time = store_int(r, 0, AUTH_TIME),
		.rotated_at = now,
		.last_used_at = now,
		.idle_expires_at = store_int(r, 0, IDLE_EXPIRES_AT),
		.expires_at = store_int(r, 0, EXPIRES_AT),
		.created_at = store_int(r, 0, CREATED_AT),
		.email = store_str(r, 0, EMAIL),
	};
	if (principal.n != 2 * sizeof s->principal.b || !hex_decode(principal, s->principal.b))
		return fail_set(f, E_INTERNAL, "a session's principal is no id");
	return OK;
}

/* The one guarded UPDATE, from `counter` to the next. E_GUARD: the token is not the newest one, or the
 * session is no longer live. */
static enum err advance(struct store *st, const struct seal *seal, const struct session_limits *l,
    struct id id, int64_t counter, int64_t now, struct arena *a, struct session *s,
    char token[REFRESH_TOKEN_LEN], struct fail *f)
{
	unsigned char was[SHA256_LEN], is[SHA256_LEN];
	struct store_rows row = { 0 };
	struct write w;
	enum err e;

	token_of(seal, id, counter, token, was);
	token_of(seal, id, counter + 1, token, is);
	write_init(&w, a, now);
	WRITE1(&w, E_GUARD,
	    "UPDATE session SET counter = counter + 1, token_hash = ?, rotated_at = ?,"
	    " last_used_at = ?, idle_expires_at = min(?, expires_at)"
	    " WHERE id = ? AND counter = ? AND token_hash = ? AND ended_at IS NULL"
	    " AND idle_expires_at > ? AND expires_at > ?"
	    " AND EXISTS (SELECT 1 FROM user u WHERE u.id = session.principal AND u.disabled = 0)"
	    " RETURNING hex(principal), counter, amr, auth_time, idle_expires_at, expires_at,"
	    " created_at, email",
	    SV_BLOB(str_n((char *)is, sizeof is)), SV_INT(now), SV_INT(now), SV_INT(now + l->idle),
	    SV_ID(&id), SV_INT(counter), SV_BLOB(str_n((char *)was, sizeof was)), SV_INT(now),
	    SV_INT(now));
	e = write_run_rows(&w, st, &row, f);
	if (e != OK)
		return e;
	e = row.nrows == 1 ? from_returned(&row, id, now, s, f) : OK;
	if (e != OK || (row.nrows == 1 && s->email.p != NULL))
		return e;
	/* done, but the answer was lost, or the row is from before there was an address in it: it is read,
	 * whatever has become of it by now */
	return session_read(st, STORE_LINEAR, id, a, s, f);
}

/* Ends the session that a used token belongs to. Another caller may have ended it already. */
static enum err end_reused(struct store *st, const struct session *s, int64_t now, struct arena *a,
    bool *ended, struct fail *f)
{
	struct write w;
	enum err e;

	write_init(&w, a, now);
	session_end(&w, s->id, s->principal, SESSION_REUSE);
	e = write_run(&w, st, f);
	if (e != OK && e != E_NOT_FOUND)
		return e;
	*ended = true;
	return fail_code(f, E_REFRESH_REUSED);
}

static enum err rotate_as_read(struct store *st, const struct seal *seal,
    const struct session_limits *l, int64_t counter, int64_t now, struct arena *a,
    struct session *s, char token[REFRESH_TOKEN_LEN], bool *ended, struct fail *f)
{
	switch (judge(s, counter, now, l->grace)) {
	case ROTATE:
		return advance(st, seal, l, s->id, counter, now, a, s, token, f);
	case REPEAT:
		refresh_token_make(seal, s->id, (uint64_t)s->counter, token);
		return OK;
	case REUSED:
		return end_reused(st, s, now, a, ended, f);
	case INVALID:
		break;
	}
	return fail_code(f, E_REFRESH_INVALID);
}

enum err session_rotate(struct store *st, const struct seal *seal, const struct session_limits *l,
    struct str refresh, int64_t now, struct arena *a, struct session *out,
    char token[REFRESH_TOKEN_LEN], bool *ended, struct fail *f)
{
	struct id id;
	uint64_t counter;
	enum err e = refresh_token_parse(seal, refresh, &id, &counter);

	*ended = false;
	if (e != OK || counter >= INT64_MAX)
		return fail_code(f, E_REFRESH_INVALID);
	/* most are the newest of their session: no read comes before the UPDATE. When it finds nothing,
	 * the row says why; when that has changed in between, what it says then is final. */
	e = advance(st, seal, l, id, (int64_t)counter, now, a, out, token, f);
	for (int i = 0; e == E_GUARD && i < 2; i++) {
		e = session_read(st, STORE_LINEAR, id, a, out, f);
		if (e == OK)
			e = rotate_as_read(st, seal, l, (int64_t)counter, now, a, out, token, ended, f);
	}
	return e == E_NOT_FOUND || e == E_GUARD ? fail_code(f, E_REFRESH_INVALID) : e;
}

/* ---- ending --------------------------------------------------------------------------------- */

void session_guard_live(struct write *w, struct id id, struct id principal)
{
	WRITE1(w, E_UNAUTHENTICATED, "UPDATE session SET last_used_at = last_used_at WHERE id = ?"
	    " AND principal = ? AND ended_at IS NULL AND idle_expires_at > ? AND expires_at > ?",
	    SV_ID(&id), SV_ID(&principal), SV_INT(w->now), SV_INT(w->now));
}

void session_end(struct write *w, struct id id, struct id principal, enum session_end why)
{
	WRITE1(w, E_NOT_FOUND,
	    "UPDATE session SET ended_at = ?, end_reason = ? WHERE id = ? AND principal = ?"
	    " AND ended_at IS NULL AND expires_at > ?",
	    SV_INT(w->now), SV_Z(end_reasons[why]), SV_ID(&id), SV_ID(&principal), SV_INT(w->now));
	write_change_id(w, CHANGE_SESSION, &id);
}

/* A change row for each live session but `keep`, before they are ended. */
static void tell_all(struct write *w, struct id principal, const struct id *keep)
{
	WRITE(w, "INSERT INTO change (kind, key, at) SELECT 'session', id, ? FROM session"
	    " WHERE principal = ? AND ended_at IS NULL AND expires_at > ? AND (? IS NULL OR id <> ?)",
	    SV_INT(w->now), SV_ID(&principal), SV_INT(w->now),
	    keep != NULL ? SV_ID(keep) : SV_NULL, keep != NULL ? SV_ID(keep) : SV_NULL);
	w->changes = true;
}

void session_end_all(struct write *w, struct id principal, const struct id *keep,
    enum session_end why)
{
	tell_all(w, principal, keep);
	WRITE(w, "UPDATE session SET ended_at = ?, end_reason = ? WHERE principal = ?"
	    " AND ended_at IS NULL AND expires_at > ? AND (? IS NULL OR id <> ?)",
	    SV_INT(w->now), SV_Z(end_reasons[why]), SV_ID(&principal), SV_INT(w->now),
	    keep != NULL ? SV_ID(keep) : SV_NULL, keep != NULL ? SV_ID(keep) : SV_NULL);
}

void session_delete_all(struct write *w, struct id principal)
{
	tell_all(w, principal, NULL);
	WRITE(w, "DELETE FROM session WHERE principal = ?", SV_ID(&principal));
}

void session_set_email(struct write *w, struct id principal, struct str email)
{
	WRITE(w, "UPDATE session SET email = ? WHERE principal = ? AND ended_at IS NULL",
	    SV_TEXT(email), SV_ID(&principal));
}

enum err session_list(struct store *s, const struct session_filter *q, struct arena *a,
    struct session **out, size_t *n, struct fail *f)
{
	static const struct id zero;
	const struct id *after = q->after_set ? &q->after : &zero;
	struct store_stmt stmt = STMT("SELECT " COLUMNS " FROM session s WHERE s.principal = ?"
	    " AND s.id > ? AND s.ended_at IS NULL AND s.idle_expires_at > ? AND s.expires_at > ?"
	    " ORDER BY s.id LIMIT ?",
	    SV_ID(&q->principal), SV_ID(after), SV_INT(q->now), SV_INT(q->now), SV_INT(q->limit));

	return STORE_LIST(s, STORE_FRESH, &stmt, a, from_row, out, n, f);
}

enum err session_trim(struct store *s, int64_t now, int64_t before, int64_t limit, struct fail *f)
{
	struct arena a;
	struct write w;
	enum err e;

	arena_init(&a, 4096);
	write_init(&w, &a, now);
	WRITE(&w, "DELETE FROM session WHERE id IN (SELECT id FROM session"
	    " WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
	    SV_INT(before), SV_INT(limit));
	e = write_run(&w, s, f);
	arena_release(&a);
	return e;
}
