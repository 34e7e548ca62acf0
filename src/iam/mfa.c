#include "iam/mfa.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/rnd.h"
#include "base/secret.h"
#include "crypto/seal.h"
#include "iam/write.h"
#include "store/store.h"

#define WINDOW (MFA_WINDOW_MIN * 60 * CLOCK_SEC)
#define TRIM_AT_ONCE 100 /* expired challenges that each new one takes along */
#define PURPOSE "mfa"
#define SEALED_MAX 256

static struct str blob(const unsigned char *p, size_t n)
{
	return str_n((const char *)p, n);
}

enum err mfa_read(struct store *s, struct id user, struct arena *a, struct mfa *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT secret, pending, last_step FROM mfa_totp"
	    " WHERE principal = ?", SV_ID(&user));
	struct store_rows rows;
	enum err e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);

	*out = (struct mfa){ .user = user, .last_step = -1 };
	if (e != OK || rows.nrows == 0)
		return e;
	out->secret_sealed = store_str(&rows, 0, 0);
	out->pending_sealed = store_str(&rows, 0, 1);
	out->last_step = store_int(&rows, 0, 2);
	out->confirmed = out->secret_sealed.p != NULL;
	out->pending = out->pending_sealed.p != NULL;
	return OK;
}

/* ---- the secret at rest --------------------------------------------------------------------- */

#define AD_MAX (sizeof "totp:" + ID_TEXT_LEN)

static struct str associated(struct id user, char out[AD_MAX])
{
	char id[ID_TEXT_LEN];
	int n = snprintf(out, AD_MAX, "totp:%s", id_text(user, id));

	return str_n(out, (size_t)n);
}

/* Which step of the sealed secret the code is of. */
static enum err check_code(const struct seal *seal, struct id user, struct str sealed, int64_t last,
    struct str code, int64_t now, int64_t *step)
{
	char ad[AD_MAX];
	struct buf plain;
	enum err e;

	buf_init_secret(&plain, SEALED_MAX);
	e = seal_open(seal, associated(user, ad), sealed, &plain);
	if (e == OK)
		e = plain.n == TOTP_SECRET ? totp_check((const unsigned char *)plain.p, code, now, last,
		    step) : E_INTERNAL;
	buf_release(&plain);
	return e;
}

/* ---- enrolment ------------------------------------------------------------------------------ */

enum err mfa_enroll(struct write *w, const struct seal *seal, struct id user,
    const unsigned char secret[TOTP_SECRET])
{
	char ad[AD_MAX];
	struct buf sealed;
	enum err e;

	buf_init(&sealed, SEALED_MAX);
	e = seal_close(seal, associated(user, ad), blob(secret, TOTP_SECRET), &sealed);
	if (e == OK)
		WRITE1(w, E_NOT_FOUND, "INSERT INTO mfa_totp (principal, pending)"
		    " SELECT id, ? FROM user WHERE id = ?"
		    " ON CONFLICT (principal) DO UPDATE SET pending = excluded.pending",
		    SV_BLOB(buf_str(&sealed)), SV_ID(&user));
	buf_release(&sealed);
	return e;
}

enum err mfa_confirm(struct write *w, const struct seal *seal, const struct mfa *m, struct str code)
{
	int64_t step = 0;
	enum err e = m->pending ? check_code(seal, m->user, m->pending_sealed, -1, code, w->now, &step) :
	    E_MFA_INVALID;

	if (e != OK)
		return e;
	WRITE1(w, E_MFA_INVALID, "UPDATE mfa_totp SET secret = pending, pending = NULL,"
	    " confirmed_at = ?, last_step = ?, tries = 0 WHERE principal = ? AND pending = ?",
	    SV_INT(w->now), SV_INT(step), SV_ID(&m->user), SV_BLOB(m->pending_sealed));
	/* who was let in without a second factor, request by request, is asked again */
	write_change_id(w, CHANGE_PRINCIPAL, &m->user);
	return OK;
}

static enum err add_recovery_code(struct write *w, const struct seal *seal, struct id user,
    char code[RECOVERY_CODE_LEN])
{
	unsigned char random[RECOVERY_CODE_RANDOM], hash[RECOVERY_CODE_HASH];
	enum err e;

	rnd_bytes(random, sizeof random);
	recovery_code_make(random, code);
	secret_wipe(random, sizeof random);
	e = recovery_code_hash(seal, user, str_c(code), hash);
	if (e == OK)
		WRITE1(w, E_CONFLICT, "INSERT INTO mfa_recovery_code (principal, hash)"
		    " SELECT principal, ? FROM mfa_totp WHERE principal = ? AND secret IS NOT NULL",
		    SV_BLOB(blob(hash, sizeof hash)), SV_ID(&user));
	return e;
}

enum err mfa_recovery_codes(struct write *w, const struct seal *seal, struct id user,
    char codes[RECOVERY_CODES][RECOVERY_CODE_LEN])
{
	enum err e = OK;

	WRITE(w, "DELETE FROM mfa_recovery_code WHERE principal = ?", SV_ID(&user));
	for (int i = 0; i < RECOVERY_CODES && e == OK; i++)
		e = add_recovery_code(w, seal, user, codes[i]);
	return e;
}

void mfa_delete(struct write *w, struct id user)
{
	WRITE(w, "DELETE FROM mfa_totp WHERE principal = ?", SV_ID(&user));
	WRITE(w, "DELETE FROM mfa_recovery_code WHERE principal = ?", SV_ID(&user));
	mfa_challenge_end_all(w, user);
}

/* ---- challenges ----------------------------------------------------------------------------- */

void mfa_challenge_add(struct write *w, struct id user, struct str phc, struct str amr,
    char token[TOKEN_LEN])
{
	unsigned char random[TOKEN_RANDOM], hash[TOKEN_HASH];

	rnd_bytes(random, sizeof random);
	token_make(PURPOSE, random, token, hash);
	secret_wipe(random, sizeof random);
	WRITE(w, "DELETE FROM mfa_challenge WHERE hash IN"
	    " (SELECT hash FROM mfa_challenge WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
	    SV_INT(w->now), SV_INT(TRIM_AT_ONCE));
	WRITE1(w, E_INVALID_CREDENTIALS,
	    "INSERT INTO mfa_challenge (hash, principal, amr, expires_at) SELECT ?, id, ?, ? FROM user"
	    " WHERE id = ? AND disabled = 0 AND (? IS NULL OR password_phc = ?)",
	    SV_BLOB(blob(hash, sizeof hash)), SV_TEXT(amr), SV_INT(w->now + WINDOW), SV_ID(&user),
	    sv_text_or_null(phc), sv_text_or_null(phc));
}

void mfa_challenge_end_all(struct write *w, struct id user)
{
	WRITE(w, "DELETE FROM mfa_challenge WHERE principal = ?", SV_ID(&user));
}

enum err mfa_challenge_find(struct store *s, struct str token, int64_t now, struct arena *a,
    struct mfa_challenge *out, struct fail *f)
{
	struct store_stmt q = STMT("SELECT principal, amr FROM mfa_challenge"
	    " WHERE hash = ? AND expires_at > ? AND tries < ?", SV_BLOB(blob(out->hash, TOKEN_HASH)),
	    SV_INT(now), SV_INT(MFA_CHALLENGE_TRIES));
	struct store_rows rows;
	enum err e;

	if (token_hash(PURPOSE, token, out->hash) != OK)
		return fail_code(f, E_MFA_INVALID);
	e = store_read(s, STORE_LINEAR, &q, 1, a, &rows, f);
	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return fail_code(f, E_MFA_INVALID);
	out->user = store_id(&rows, 0, 0);
	out->amr = store_str(&rows, 0, 1);
	return OK;
}

void mfa_challenge_count(struct write *w, const struct mfa_challenge *c)
{
	WRITE1(w, E_MFA_INVALID, "UPDATE mfa_challenge SET tries = tries + 1"
	    " WHERE hash = ? AND expires_at > ? AND tries < ?", SV_BLOB(blob(c->hash, TOKEN_HASH)),
	    SV_INT(w->now), SV_INT(MFA_CHALLENGE_TRIES));
	mfa_count(w, c->user);
}

void mfa_count(struct write *w, struct id user)
{
	WRITE1(w, E_RATE_LIMITED, "UPDATE mfa_totp SET"
	    " tries = CASE WHEN tries_until > ? THEN tries + 1 ELSE 1 END,"
	    " tries_until = CASE WHEN tries_until > ? THEN tries_until ELSE ? END"
	    " WHERE principal = ? AND (tries_until <= ? OR tries < ?)", SV_INT(w->now), SV_INT(w->now),
	    SV_INT(w->now + WINDOW), SV_ID(&user), SV_INT(w->now), SV_INT(MFA_USER_TRIES));
}

void mfa_challenge_use(struct write *w, const struct mfa_challenge *c)
{
	WRITE1(w, E_MFA_INVALID, "DELETE FROM mfa_challenge WHERE hash = ? AND expires_at > ?",
	    SV_BLOB(blob(c->hash, TOKEN_HASH)), SV_INT(w->now));
}

/* ---- codes ---------------------------------------------------------------------------------- */

enum err mfa_use_code(struct write *w, const struct seal *seal, const struct mfa *m, struct str code)
{
	int64_t step = 0;
	enum err e = m->confirmed ? check_code(seal, m->user, m->secret_sealed, m->last_step, code,
	    w->now, &step) : E_MFA_INVALID;

	if (e == OK)
		WRITE1(w, E_MFA_INVALID, "UPDATE mfa_totp SET last_step = ?, tries = 0"
		    " WHERE principal = ? AND secret = ? AND last_step < ?",
		    SV_INT(step), SV_ID(&m->user), SV_BLOB(m->secret_sealed), SV_INT(step));
	return e;
}

enum err mfa_use_recovery_code(struct write *w, const struct seal *seal, struct id user,
    struct str typed)
{
	unsigned char hash[RECOVERY_CODE_HASH];
	enum err e = recovery_code_hash(seal, user, typed, hash);

	if (e != OK)
		return e;
	WRITE1(w, E_MFA_INVALID, "DELETE FROM mfa_recovery_code WHERE principal = ? AND hash = ?",
	    SV_ID(&user), SV_BLOB(blob(hash, sizeof hash)));
	WRITE(w, "UPDATE mfa_totp SET tries = 0 WHERE principal = ?", SV_ID(&user));
	return OK;
}
