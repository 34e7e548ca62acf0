#include "iam/principal.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/heap.h"
#include "iam/write.h"
#include "store/change.h"
#include "store/store.h"

#define READ_MAX (64u << 20) /* bytes of one principal with its assignments */

/* The snapshot in memory: one block with its assignments and strings behind it. */
struct block {
	atomic_int refs;
	struct principal p;
	struct principal_assignment assignments[];
};

enum { READ_USER, READ_ACCOUNT, READ_ASSIGNMENTS, READ_SEQ, READS };
enum { COL_NAME, COL_DISABLED };
enum { COL_TENANT, COL_ROLE };

static size_t text_bytes(const struct store_rows *who, const struct store_rows *assigned)
{
	size_t n = store_str(who, 0, COL_NAME).n + 1;

	for (size_t i = 0; i < assigned->nrows; i++)
		n += store_str(assigned, i, COL_TENANT).n + store_str(assigned, i, COL_ROLE).n + 2;
	return n;
}

static struct str keep(char **at, struct str s)
{
	struct str copy = { *at, s.n };

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return copy;
}

static struct principal *build(struct id id, const struct store_rows rows[READS])
{
	bool user = rows[READ_USER].nrows > 0;
	const struct store_rows *who = &rows[user ? READ_USER : READ_ACCOUNT];
	const struct store_rows *assigned = &rows[READ_ASSIGNMENTS];
	size_t n = assigned->nrows;
	struct block *b = heap_alloc(sizeof *b + n * sizeof b->assignments[0] +
	    text_bytes(who, assigned));
	char *text;

	if (b == NULL)
		return NULL;
	text = (char *)&b->assignments[n];
	atomic_init(&b->refs, 1);
	b->p = (struct principal){ .id = id,
		.kind = user ? PRINCIPAL_USER : PRINCIPAL_SERVICE_ACCOUNT,
		.disabled = store_int(who, 0, COL_DISABLED) != 0,
		.name = keep(&text, store_str(who, 0, COL_NAME)), .assignments = b->assignments,
		.n = n, .as_of = store_int(&rows[READ_SEQ], 0, 0) };
	id_text(id, b->p.id_text);
	for (size_t i = 0; i < n; i++) {
		b->assignments[i].tenant = keep(&text, store_str(assigned, i, COL_TENANT));
		b->assignments[i].role = keep(&text, store_str(assigned, i, COL_ROLE));
	}
	return &b->p;
}

enum err principal_load(struct store *s, struct id id, struct principal **out, struct fail *f)
{
	const struct store_stmt reads[READS] = {
		[READ_USER] = STMT("SELECT email, disabled FROM user WHERE id = ?", SV_ID(&id)),
		[READ_ACCOUNT] = STMT("SELECT name, disabled FROM service_account WHERE id = ?",
		    SV_ID(&id)),
		[READ_ASSIGNMENTS] = STMT("SELECT tenant, role FROM assignment WHERE principal = ? "
		                          "ORDER BY tenant, role", SV_ID(&id)),
		[READ_SEQ] = change_seq_stmt,
	};
	struct store_rows rows[READS];
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	e = store_read(s, STORE_LINEAR, reads, READS, &a, rows, f);
	if (e == OK && rows[READ_USER].nrows == 0 && rows[READ_ACCOUNT].nrows == 0) {
		e = fail_set(f, E_NOT_FOUND, "there is no such principal");
	} else if (e == OK) {
		*out = build(id, rows);
		if (*out == NULL)
			e = fail_set(f, E_NOMEM, "no memory for a principal");
	}
	arena_release(&a);
	return e;
}

static struct block *block_of(struct principal *p)
{
	return (struct block *)((char *)p - offsetof(struct block, p));
}

struct principal *principal_ref(struct principal *p)
{
	atomic_fetch_add_explicit(&block_of(p)->refs, 1, memory_order_relaxed);
	return p;
}

void principal_unref(struct principal *p)
{
	if (p != NULL && atomic_fetch_sub_explicit(&block_of(p)->refs, 1, memory_order_acq_rel) == 1)
		heap_free(block_of(p));
}

/* As SQLite orders TEXT (BINARY): bytes, then length. */
static int compare(struct str a, struct str b)
{
	size_t shorter = a.n < b.n ? a.n : b.n;
	int c = shorter > 0 ? memcmp(a.p, b.p, shorter) : 0;

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

size_t principal_in_tenant(const struct principal *p, struct str tenant, size_t *first)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(p->assignments[mid].tenant, tenant) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = lo;
	while (hi < p->n && str_eq(p->assignments[hi].tenant, tenant))
		hi++;
	return hi - lo;
}

/* The change feed tells of every assignment and every role in the batch that changes it. */
void principal_guard(struct write *w, const struct principal *p)
{
	if (p->kind == PRINCIPAL_USER)
		WRITE1(w, E_PRECONDITION_FAILED,
		    "UPDATE user SET version = version WHERE id = ? AND NOT EXISTS (SELECT 1 FROM change"
		    " WHERE seq > ? AND (kind = 'role' OR (kind = 'principal' AND key = ?)))",
		    SV_ID(&p->id), SV_INT(p->as_of), SV_ID(&p->id));
	else
		WRITE1(w, E_PRECONDITION_FAILED,
		    "UPDATE service_account SET version = version WHERE id = ? AND NOT EXISTS (SELECT 1"
		    " FROM change WHERE seq > ? AND (kind = 'role' OR (kind = 'principal' AND key = ?)))",
		    SV_ID(&p->id), SV_INT(p->as_of), SV_ID(&p->id));
}

static void take_session(const struct store_rows *r, int64_t now, struct session_state *out)
{
	enum { COL_PRINCIPAL, COL_ENDED_AT, COL_IDLE_EXPIRES_AT, COL_EXPIRES_AT };

	if (r->nrows == 0)
		return;
	out->principal = store_id(r, 0, COL_PRINCIPAL);
	out->expires_at = store_int(r, 0, COL_EXPIRES_AT);
	out->live = store_is_null(r, 0, COL_ENDED_AT) &&
	    store_int(r, 0, COL_IDLE_EXPIRES_AT) > now && out->expires_at > now;
}

static void take_credential(const struct store_rows *r, int64_t now, struct session_state *out)
{
	enum { COL_ACCOUNT, COL_EXPIRES_AT };

	if (r->nrows == 0)
		return;
	out->principal = store_id(r, 0, COL_ACCOUNT);
	out->expires_at = store_is_null(r, 0, COL_EXPIRES_AT) ? INT64_MAX :
	    store_int(r, 0, COL_EXPIRES_AT);
	out->live = out->expires_at > now;
}

enum err session_state_load(struct store *s, struct id id, int64_t now, struct session_state *out,
    struct fail *f)
{
	enum { READ_SESSION, READ_CREDENTIAL, READ_AS_OF };
	const struct store_stmt reads[] = {
		[READ_SESSION] = STMT("SELECT principal, ended_at, idle_expires_at, expires_at FROM session "
		                      "WHERE id = ?", SV_ID(&id)),
		[READ_CREDENTIAL] = STMT("SELECT service_account, expires_at FROM credential WHERE id = ?",
		    SV_ID(&id)),
		[READ_AS_OF] = change_seq_stmt,
	};
	struct store_rows rows[sizeof reads / sizeof *reads];
	struct arena a;
	enum err e;

	arena_init(&a, READ_MAX);
	*out = (struct session_state){ .id = id };
	e = store_read(s, STORE_LINEAR, reads, sizeof reads / sizeof *reads, &a, rows, f);
	if (e == OK) {
		take_session(&rows[READ_SESSION], now, out);
		take_credential(&rows[READ_CREDENTIAL], now, out);
		out->as_of = store_int(&rows[READ_AS_OF], 0, 0);
	}
	arena_release(&a);
	return e;
}
