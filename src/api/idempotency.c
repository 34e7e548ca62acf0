#include "api/idempotency.h"

#include <stdio.h>

#include "api/ctl.h"
#include "base/clock.h"
#include "crypto/digest.h"
#include "crypto/seal.h"
#include "iam/principal.h"
#include "iam/write.h"
#include "request/request.h"

#define KEEP (24 * 3600 * CLOCK_SEC)
#define ANSWER_MAX ((64u << 20) + 256) /* what an answer may be, sealed */

/* Of a request that carries a key; in its arena. */
struct idempotency {
	struct id principal;
	struct str key, operation; /* method and path */
	unsigned char body_hash[SHA256_LEN];
	struct str ad; /* what a sealed answer is bound to */
};

static bool applies(const struct request *r)
{
	return r->op->method == M_POST && str_starts(r->path, STR("/admin/")) &&
	    request_known(r, HDR_IDEMPOTENCY_KEY).p != NULL && r->auth.principal != NULL;
}

static bool key_is_valid(const struct request *r, struct str key)
{
	if (key.n == 0 || key.n > IDEMPOTENCY_KEY_MAX || r->known_count[HDR_IDEMPOTENCY_KEY] > 1)
		return false;
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] < 0x21 || key.p[i] > 0x7e)
			return false;
	return true;
}

/* A MAC, for a plain hash of a body with a password in it could be tried against much faster than the
 * password's own. */
static struct idempotency *describe(struct ctl *c, struct request *r)
{
	struct idempotency *x = arena_zalloc(&r->arena, sizeof *x);
	char *operation, *ad;

	if (x == NULL)
		return NULL;
	x->principal = r->auth.principal->id;
	x->key = request_known(r, HDR_IDEMPOTENCY_KEY);
	operation = arena_printf(&r->arena, "POST %.*s", STR_ARG(r->target));
	ad = arena_printf(&r->arena, "idempotency:%s:%.*s", r->auth.principal->id_text, STR_ARG(x->key));
	if (operation == NULL || ad == NULL)
		return NULL;
	x->operation = str_c(operation);
	x->ad = str_c(ad);
	seal_mac(c->seal, "idempotency", buf_str(&r->body), x->body_hash);
	return x;
}

/* operation, body_hash, status, answer */
static enum err replay(struct ctl *c, struct request *r, const struct store_rows *rows, struct fail *f)
{
	const struct idempotency *x = r->idempotency;
	enum err e;

	if (!str_eq(store_str(rows, 0, 0), x->operation) ||
	    !str_eq(store_str(rows, 0, 1), str_n((const char *)x->body_hash, SHA256_LEN)))
		return fail_code(f, E_IDEMPOTENCY_CONFLICT);
	(void)request_json(r, (int)store_int(rows, 0, 2));
	r->audited = true; /* when it was done */
	if (store_is_null(rows, 0, 3))
		return OK;
	e = seal_open(c->seal, x->ad, store_str(rows, 0, 3), &r->reply.buf);
	return e == OK ? OK : fail_set(f, e, "the stored answer cannot be opened");
}

static enum err look(struct ctl *c, struct request *r, bool *found, struct fail *f)
{
	const struct idempotency *x = r->idempotency;
	struct store_stmt q = STMT("SELECT operation, body_hash, status, answer FROM idempotency"
	    " WHERE principal = ? AND key = ? AND at > ?",
	    SV_ID(&x->principal), SV_TEXT(x->key), SV_INT(clock_wall() - KEEP));
	struct store_rows rows;
	enum err e = store_read(c->store, STORE_LINEAR, &q, 1, &r->arena, &rows, f);

	*found = e == OK && rows.nrows > 0;
	return *found ? replay(c, r, &rows, f) : e;
}

enum err idempotency_begin(struct ctl *c, struct request *r, bool *answered, struct fail *f)
{
	*answered = false;
	if (!applies(r))
		return OK;
	if (!key_is_valid(r, request_known(r, HDR_IDEMPOTENCY_KEY)))
		return fail_set(f, E_BAD_REQUEST, "Idempotency-Key must be 1 to %d visible ASCII characters",
		    IDEMPOTENCY_KEY_MAX);
	r->idempotency = describe(c, r);
	if (r->idempotency == NULL)
		return fail_code(f, E_NOMEM);
	return look(c, r, answered, f);
}

void idempotency_record(struct ctl *c, struct request *r, struct write *w)
{
	const struct idempotency *x = r->idempotency;
	struct buf answer;
	unsigned before = w->n;
	enum err e;

	if (x == NULL)
		return;
	buf_init(&answer, ANSWER_MAX);
	e = seal_close(c->seal, x->ad, buf_str(&r->reply.buf), &answer);
	if (e != OK)
		w->err = e;
	WRITE(w, "DELETE FROM idempotency WHERE at <= ?", SV_INT(w->now - KEEP));
	WRITE1(w, E_IDEMPOTENCY_CONFLICT,
	    "INSERT INTO idempotency (principal, key, operation, body_hash, status, answer, at)"
	    " SELECT ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS"
	    " (SELECT 1 FROM idempotency WHERE principal = ? AND key = ?)",
	    SV_ID(&x->principal), SV_TEXT(x->key), SV_TEXT(x->operation),
	    SV_BLOB(str_n((const char *)x->body_hash, SHA256_LEN)), SV_INT(r->reply.status),
	    SV_BLOB(buf_str(&answer)), SV_INT(w->now), SV_ID(&x->principal), SV_TEXT(x->key));
	buf_release(&answer);
	write_to_front(w, before);
}

enum err idempotency_answer(struct ctl *c, struct request *r, struct fail *f)
{
	bool found;
	enum err e;

	fail_clear(f);
	e = look(c, r, &found, f);
	if (e != OK || found)
		return e;
	return fail_set(f, E_IDEMPOTENCY_CONFLICT, "a request with this Idempotency-Key is under way");
}
