#include "mail/queue.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "crypto/seal.h"
#include "iam/write.h"
#include "mail/message.h"
#include "store/store.h"

#define READ_MAX (1u << 20)
#define CANDIDATES 4 /* due rows read at a time: a lost race goes on with the next */
#define WHY_MAX 300

#define AD_LEN (5 + ID_TEXT_LEN)

const struct mail_policy mail_policy_default = {
	.lease = 180 * CLOCK_SEC,
	.poll = 5 * CLOCK_SEC,
	.retry_min = 10 * CLOCK_SEC,
	.retry_max = 3600 * CLOCK_SEC,
	.give_up = 48 * 3600 * CLOCK_SEC,
	.keep = 7 * 24 * 3600 * CLOCK_SEC,
};

/* What the seal binds a body to: it opens in no other row. */
static struct str ad_of(struct id id, char out[AD_LEN])
{
	char text[ID_TEXT_LEN];

	return str_n(out, (size_t)snprintf(out, AD_LEN, "mail:%s", id_text(id, text)));
}

void mail_add(struct write *w, const struct seal *seal, const struct mail *m)
{
	struct buf sealed;
	char ad[AD_LEN];
	enum err e;

	buf_init(&sealed, MESSAGE_MAX + 256);
	e = seal_close(seal, ad_of(m->id, ad), m->body, &sealed);
	if (e == OK)
		WRITE1(w, OK, "INSERT INTO mail (id, kind, sender, recipient, body, next_attempt_at,"
		    " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		    SV_ID(&m->id), SV_TEXT(m->kind), SV_TEXT(m->sender), SV_TEXT(m->recipient),
		    SV_BLOB(buf_str(&sealed)), SV_INT(w->now), SV_INT(w->now));
	else if (w->err == OK)
		w->err = e;
	buf_release(&sealed);
}

enum err mail_open(const struct seal *seal, const struct mail *m, struct buf *plain)
{
	char ad[AD_LEN];

	return seal_open(seal, ad_of(m->id, ad), m->body, plain);
}

static enum err write_one(struct store *s, const struct store_stmt *stmt, int64_t now,
    struct fail *f)
{
	struct store_batch b = { .op_id = id_new(now), .stmts = stmt, .n = 1 };

	return store_write(s, &b, NULL, f);
}

/* ---- claims -------------------------------------------------------------------------------- */

enum { COL_ID, COL_KIND, COL_SENDER, COL_RECIPIENT, COL_BODY, COL_ATTEMPTS, COL_NEXT, COL_CREATED };

static const char due_sql[] = "SELECT id, kind, sender, recipient, body, attempts, next_attempt_at,"
    " created_at FROM mail WHERE failed_at IS NULL ORDER BY next_attempt_at LIMIT ?";

static void from_row(const struct store_rows *r, size_t i, struct mail *m)
{
	*m = (struct mail){
		.id = store_id(r, i, COL_ID),
		.kind = store_str(r, i, COL_KIND),
		.sender = store_str(r, i, COL_SENDER),
		.recipient = store_str(r, i, COL_RECIPIENT),
		.body = store_str(r, i, COL_BODY),
		.attempts = store_int(r, i, COL_ATTEMPTS),
		.created_at = store_int(r, i, COL_CREATED),
	};
}

/* E_GUARD when another was faster. `seen`: next_attempt_at as read. */
static enum err claim_row(struct store *s, const struct id *who, int64_t now, int64_t until,
    const struct mail *m, int64_t seen, struct fail *f)
{
	struct store_stmt claim = STMT1(OK,
	    "UPDATE mail SET claimed_by = ?, next_attempt_at = ?, attempts = attempts + 1"
	    " WHERE id = ? AND next_attempt_at = ? AND attempts = ? AND failed_at IS NULL",
	    SV_ID(who), SV_INT(until), SV_ID(&m->id), SV_INT(seen), SV_INT(m->attempts));

	return write_one(s, &claim, now, f);
}

enum err mail_claim(struct store *s, const struct id *who, int64_t now, int64_t lease,
    struct arena *a, struct mail_claim *out, struct fail *f)
{
	struct store_stmt due = STMT(due_sql, SV_INT(CANDIDATES));
	struct store_rows rows;
	enum err e = store_read(s, STORE_FRESH, &due, 1, a, &rows, f);

	*out = (struct mail_claim){ .until = now + lease, .next_at = INT64_MAX };
	if (e != OK)
		return e;
	for (size_t i = 0; i < rows.nrows; i++) {
		int64_t at = store_int(&rows, i, COL_NEXT);

		if (at > now) {
			out->next_at = at;
			return OK;
		}
		from_row(&rows, i, &out->mail);
		e = claim_row(s, who, now, out->until, &out->mail, at, f);
		if (e == OK) {
			out->found = true;
			out->mail.attempts++;
		}
		if (e != E_GUARD)
			return e;
		fail_clear(f);
	}
	out->next_at = rows.nrows > 0 ? now : INT64_MAX; /* lost every race: there may be more */
	return OK;
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Whoever holds the claim now: the mail is with the server, nobody need send it again. */
enum err mail_sent(struct store *s, const struct mail *m, int64_t now, struct fail *f)
{
	struct store_stmt stmt = STMT("DELETE FROM mail WHERE id = ?", SV_ID(&m->id));

	return write_one(s, &stmt, now, f);
}

static struct str shortened(struct str why)
{
	while (why.n > WHY_MAX || (why.n > 0 && !str_utf8(why)))
		why.n--;
	return why;
}

enum err mail_deferred(struct store *s, const struct id *who, const struct mail *m, int64_t now,
    int64_t next_at, struct str why, struct fail *f)
{
	struct store_stmt stmt = STMT(
	    "UPDATE mail SET claimed_by = NULL, next_attempt_at = ?, last_error = ?"
	    " WHERE id = ? AND claimed_by = ? AND attempts = ?",
	    SV_INT(next_at), SV_TEXT(shortened(why)), SV_ID(&m->id), SV_ID(who), SV_INT(m->attempts));

	return write_one(s, &stmt, now, f);
}

enum err mail_failed(struct store *s, const struct id *who, const struct mail *m, int64_t now,
    struct str why, struct fail *f)
{
	struct store_stmt stmt = STMT(
	    "UPDATE mail SET claimed_by = NULL, body = NULL, failed_at = ?, last_error = ?"
	    " WHERE id = ? AND claimed_by = ? AND attempts = ?",
	    SV_INT(now), SV_TEXT(shortened(why)), SV_ID(&m->id), SV_ID(who), SV_INT(m->attempts));

	return write_one(s, &stmt, now, f);
}

int64_t mail_backoff(const struct mail_policy *p, int64_t attempts, uint32_t dice)
{
	int64_t most = 2 * p->retry_min;

	for (int64_t i = 1; i < attempts && most < p->retry_max; i++)
		most *= 2;
	if (most > p->retry_max)
		most = p->retry_max;
	return most / 2 + most / 2 * (int64_t)(dice >> 8) / 0xffffff;
}

/* ---- the queue as a whole ------------------------------------------------------------------ */

enum err mail_count(struct store *s, struct mail_counts *out, struct fail *f)
{
	struct store_stmt stmts[2] = {
		STMT("SELECT count(*) FROM mail WHERE failed_at IS NULL"),
		STMT("SELECT count(*) FROM mail WHERE failed_at IS NOT NULL"),
	};
	struct store_rows rows[2];
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_FRESH, stmts, 2, &a, rows, f);
	if (e == OK)
		*out = (struct mail_counts){ store_int(&rows[0], 0, 0), store_int(&rows[1], 0, 0) };
	arena_release(&a);
	return e;
}

enum err mail_trim(struct store *s, int64_t now, int64_t before, struct fail *f)
{
	struct store_stmt stmt = STMT("DELETE FROM mail WHERE failed_at < ?", SV_INT(before));

	return write_one(s, &stmt, now, f);
}
