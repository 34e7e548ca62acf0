#include "iam/audit.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rnd.h"
#include "base/thread.h"
#include "iam/write.h"
#include "store/list.h"

#define TRIES 64
#define BATCH 32                      /* records of one batch of the thread */
#define BATCH_ARENA (16u << 20)
#define RETRY_US (200 * CLOCK_MS)
#define LAST_TRIES 10                 /* at the end, while the store does not answer */

struct waiting {
	struct waiting *next;
	struct audit_record r; /* views into `text` */
	char text[];
};

struct audit {
	struct store *store;
	struct id replica;

	pthread_mutex_t end_mu; /* held from reading the end of the chain to having moved it */
	bool known;             /* the two below are what the store had last */
	int64_t seq;
	unsigned char hash[AUDIT_HASH];

	pthread_mutex_t queue_mu; /* guards what follows */
	pthread_cond_t wake, idle;
	struct waiting *first, **last;
	size_t n, busy; /* waiting; taken by the thread and not yet stored */
	bool stopping;
	pthread_t thread;
};

/* ---- the end of the chain ------------------------------------------------------------------- */

static enum err read_end(struct audit *a, struct arena *arena, struct fail *f)
{
	struct store_stmt q = STMT("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
	struct store_rows rows;
	enum err e = store_read(a->store, STORE_LINEAR, &q, 1, arena, &rows, f);

	if (e != OK)
		return e;
	memset(a->hash, 0, sizeof a->hash);
	a->seq = 0;
	if (rows.nrows > 0) {
		a->seq = store_int(&rows, 0, 0);
		if (store_str(&rows, 0, 1).n == AUDIT_HASH)
			memcpy(a->hash, store_str(&rows, 0, 1).p, AUDIT_HASH);
	}
	a->known = true;
	return OK;
}

/* Appends the insertion of r behind (seq, hash), and moves those two onto it. */
static void chain(struct write *w, struct audit_record *r, int64_t *seq,
    unsigned char hash[AUDIT_HASH])
{
	unsigned char prev[AUDIT_HASH];

	memcpy(prev, hash, sizeof prev);
	r->seq = *seq + 1;
	r->at = r->at / CLOCK_MS * CLOCK_MS;
	audit_record_hash(r, prev, hash);
	WRITE1(w, E_GUARD,
	    "INSERT INTO audit (seq, at, replica, actor, actor_kind, actor_name, method, action, target,"
	    " tenant, before, after, outcome, request_id, trace_id, source, prev_hash, hash)"
	    " SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
	    " WHERE coalesce((SELECT max(seq) FROM audit), 0) = ?",
	    SV_INT(r->seq), SV_INT(r->at), SV_ID(&r->replica),
	    r->has_actor ? SV_ID(&r->actor) : SV_NULL, sv_text_or_null(r->actor_kind),
	    sv_text_or_null(r->actor_name), SV_TEXT(r->method), SV_TEXT(r->action),
	    sv_text_or_null(r->target), sv_text_or_null(r->tenant), sv_text_or_null(r->before),
	    sv_text_or_null(r->after), SV_TEXT(r->outcome), sv_text_or_null(r->request_id),
	    sv_text_or_null(r->trace_id), sv_text_or_null(r->source),
	    SV_BLOB(str_n((const char *)prev, AUDIT_HASH)),
	    SV_BLOB(str_n((const char *)hash, AUDIT_HASH)), SV_INT(*seq));
	*seq = r->seq;
}

/* One try, with end_mu held: the n records in front of w. *moved: the chain had another end. */
static enum err try_append(struct audit *a, struct write *w, struct audit_record **r, size_t n,
    bool *moved, struct fail *f)
{
	struct store_batch b = { .op_id = id_new(w->now) };
	unsigned before = w->n;
	unsigned char hash[AUDIT_HASH];
	size_t failed = 0;
	int64_t seq;
	enum err e = a->known ? OK : read_end(a, w->a, f);

	*moved = false;
	if (e != OK)
		return e;
	seq = a->seq;
	memcpy(hash, a->hash, sizeof hash);
	for (size_t i = 0; i < n; i++)
		chain(w, r[i], &seq, hash);
	if (w->err != OK)
		return fail_code(f, w->err);
	write_to_front(w, before);
	b.stmts = w->st;
	b.n = w->n;
	e = store_write(a->store, &b, &failed, f);
	*moved = (e == E_GUARD || e == E_CONSTRAINT) && failed < n;
	a->known = e == OK;
	if (e == OK) {
		a->seq = seq;
		memcpy(a->hash, hash, sizeof hash);
	}
	return e;
}

static void back_off(unsigned try)
{
	uint16_t r;

	rnd_bytes(&r, sizeof r);
	nanosleep(&(struct timespec){ 0, (long)(r % 1000 + 1) * (try < 16 ? try + 1 : 16) * 1000 }, NULL);
}

static enum err append(struct audit *a, struct write *w, struct audit_record **r, size_t n,
    struct fail *f)
{
	struct write *mine = heap_alloc(sizeof *mine);
	bool moved = true;
	enum err e = OK;

	if (mine == NULL)
		return fail_code(f, E_NOMEM);
	for (unsigned t = 0; moved && t < TRIES; t++) {
		if (t > 0) {
			fail_clear(f);
			back_off(t);
		}
		*mine = *w;
		pthread_mutex_lock(&a->end_mu);
		e = try_append(a, mine, r, n, &moved, f);
		pthread_mutex_unlock(&a->end_mu);
	}
	heap_free(mine);
	return moved ? fail_set(f, E_CONFLICT, "too many changes at once; try again") : e;
}

enum err audit_commit(struct audit *a, struct write *w, struct audit_record *r, struct fail *f)
{
	if (w->err != OK)
		return fail_code(f, w->err);
	r->replica = a->replica;
	return append(a, w, &r, 1, f);
}

/* ---- records without a mutation ------------------------------------------------------------- */

static struct str copy(char **at, struct str s)
{
	struct str out = { *at, s.n };

	if (s.p == NULL)
		return STR_NONE;
	memcpy(*at, s.p, s.n);
	*at += s.n;
	return out;
}

static struct waiting *copy_record(const struct audit_record *r)
{
	struct audit_record c = *r;
	struct str *const fields[] = { &c.actor_kind, &c.actor_name, &c.method, &c.action, &c.target,
		&c.tenant, &c.before, &c.after, &c.outcome, &c.request_id, &c.trace_id, &c.source };
	struct waiting *w;
	size_t n = 0;
	char *at;

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		n += fields[i]->n;
	w = heap_alloc(sizeof *w + n + 1);
	if (w == NULL)
		return NULL;
	at = w->text;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		*fields[i] = copy(&at, *fields[i]);
	w->r = c;
	w->next = NULL;
	return w;
}

enum err audit_post(struct audit *a, const struct audit_record *r)
{
	struct waiting *w = copy_record(r);
	bool full;

	if (w == NULL)
		return E_NOMEM;
	w->r.replica = a->replica;
	pthread_mutex_lock(&a->queue_mu);
	full = a->n >= AUDIT_QUEUE;
	if (!full) {
		*a->last = w;
		a->last = &w->next;
		a->n++;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->queue_mu);
	if (!full)
		return OK;
	log_error("an audit record is lost: the store is too slow", LOG_S("action", r->action),
	    LOG_S("outcome", r->outcome), LOG_S("request_id", r->request_id));
	heap_free(w);
	return E_OVERLOADED;
}

bool audit_flush(struct audit *a, int64_t us)
{
	int64_t t = clock_mono() + us;
	struct timespec until = { t / CLOCK_SEC, t % CLOCK_SEC * 1000 };
	bool all;
	int rc = 0;

	pthread_mutex_lock(&a->queue_mu);
	while (a->n + a->busy > 0 && rc == 0)
		rc = pthread_cond_clockwait(&a->idle, &a->queue_mu, CLOCK_MONOTONIC, &until);
	all = a->n + a->busy == 0;
	pthread_mutex_unlock(&a->queue_mu);
	return all;
}

/* Up to BATCH records off the queue; none when the thread is to end. Waits for them. */
static size_t take(struct audit *a, struct waiting *out[BATCH])
{
	size_t n = 0;

	pthread_mutex_lock(&a->queue_mu);
	while (a->first == NULL && !a->stopping)
		pthread_cond_wait(&a->wake, &a->queue_mu);
	while (a->first != NULL && n < BATCH) {
		out[n] = a->first;
		a->first = out[n++]->next;
	}
	if (a->first == NULL)
		a->last = &a->first;
	a->n -= n;
	a->busy = n;
	pthread_mutex_unlock(&a->queue_mu);
	return n;
}

static void done(struct audit *a, struct waiting **w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		heap_free(w[i]);
	pthread_mutex_lock(&a->queue_mu);
	a->busy = 0;
	if (a->n == 0)
		pthread_cond_broadcast(&a->idle);
	pthread_mutex_unlock(&a->queue_mu);
}

static enum err append_batch(struct audit *a, struct waiting **waiting, size_t n, struct fail *f)
{
	struct audit_record *r[BATCH];
	struct write *w = heap_alloc(sizeof *w);
	struct arena arena;
	enum err e;

	if (w == NULL)
		return fail_code(f, E_NOMEM);
	arena_init(&arena, BATCH_ARENA);
	write_init(w, &arena, clock_wall());
	for (size_t i = 0; i < n; i++)
		r[i] = &waiting[i]->r;
	e = append(a, w, r, n, f);
	arena_release(&arena);
	heap_free(w);
	return e;
}

/* Waits a little; whether the end has come. */
static bool pause_or_stop(struct audit *a)
{
	bool stopping;

	nanosleep(&(struct timespec){ 0, RETRY_US * 1000 }, NULL);
	pthread_mutex_lock(&a->queue_mu);
	stopping = a->stopping;
	pthread_mutex_unlock(&a->queue_mu);
	return stopping;
}

static void *run(void *arg)
{
	struct audit *a = arg;
	struct waiting *w[BATCH];
	unsigned last_tries = 0;
	size_t n;

	while ((n = take(a, w)) > 0) {
		struct fail f = { 0 };

		while (append_batch(a, w, n, &f) != OK) {
			log_fail("audit records wait for the store", &f);
			fail_clear(&f);
			if (pause_or_stop(a) && ++last_tries > LAST_TRIES) {
				log_error("audit records are lost", LOG_I("records", (int64_t)n));
				break;
			}
		}
		done(a, w, n);
	}
	return NULL;
}

/* ---- life ----------------------------------------------------------------------------------- */

enum err audit_new(struct store *s, struct id replica, struct audit **out)
{
	struct audit *a = heap_zalloc(sizeof *a);

	if (a == NULL)
		return E_NOMEM;
	a->store = s;
	a->replica = replica;
	a->last = &a->first;
	pthread_mutex_init(&a->end_mu, NULL);
	pthread_mutex_init(&a->queue_mu, NULL);
	pthread_cond_init(&a->wake, NULL);
	pthread_cond_init(&a->idle, NULL);
	if (thread_start(&a->thread, "audit", run, a) != OK) {
		heap_free(a);
		return E_NOMEM;
	}
	*out = a;
	return OK;
}

void audit_free(struct audit *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->queue_mu);
	a->stopping = true;
	pthread_cond_broadcast(&a->wake);
	pthread_mutex_unlock(&a->queue_mu);
	pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->idle);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->queue_mu);
	pthread_mutex_destroy(&a->end_mu);
	heap_free(a);
}

/* ---- reading -------------------------------------------------------------------------------- */

#define COLUMNS \
	"seq, at, replica, actor, actor_kind, actor_name, method, action, target, tenant, before," \
	" after, outcome, request_id, trace_id, source, prev_hash, hash"

static void from_row(const struct store_rows *rows, size_t i, void *item)
{
	struct audit_row *out = item;

	*out = (struct audit_row){ .r = {
		.seq = store_int(rows, i, 0), .at = store_int(rows, i, 1),
		.replica = store_id(rows, i, 2),
		.has_actor = !store_is_null(rows, i, 3), .actor = store_id(rows, i, 3),
		.actor_kind = store_str(rows, i, 4), .actor_name = store_str(rows, i, 5),
		.method = store_str(rows, i, 6), .action = store_str(rows, i, 7),
		.target = store_str(rows, i, 8), .tenant = store_str(rows, i, 9),
		.before = store_str(rows, i, 10), .after = store_str(rows, i, 11),
		.outcome = store_str(rows, i, 12), .request_id = store_str(rows, i, 13),
		.trace_id = store_str(rows, i, 14), .source = store_str(rows, i, 15),
	} };
	if (store_str(rows, i, 16).n == AUDIT_HASH)
		memcpy(out->prev, store_str(rows, i, 16).p, AUDIT_HASH);
	if (store_str(rows, i, 17).n == AUDIT_HASH)
		memcpy(out->hash, store_str(rows, i, 17).p, AUDIT_HASH);
}

enum err audit_list(struct store *s, const struct audit_filter *q, struct arena *a,
    struct audit_row **out, size_t *n, struct fail *f)
{
	struct store_val before = SV_INT(q->before > 0 ? q->before : INT64_MAX);
	struct store_val from = SV_INT(q->from), to = SV_INT(q->to > 0 ? q->to : INT64_MAX);
	struct store_val tenant = sv_text_or_null(q->tenant), action = sv_text_or_null(q->action);
	struct store_val limit = SV_INT(q->limit);
	/* each form walks one index, newest first; + keeps the others out of the choice */
	struct store_stmt by_actor = STMT("SELECT " COLUMNS " FROM audit WHERE actor = ? AND seq < ?"
	    " AND (? IS NULL OR +tenant = ?) AND (? IS NULL OR +action = ?) AND at >= ? AND at < ?"
	    " ORDER BY seq DESC LIMIT ?", SV_ID(&q->actor), before, tenant, tenant, action, action,
	    from, to, limit);
	struct store_stmt by_tenant = STMT("SELECT " COLUMNS " FROM audit WHERE tenant = ? AND seq < ?"
	    " AND (? IS NULL OR +action = ?) AND at >= ? AND at < ? ORDER BY seq DESC LIMIT ?",
	    tenant, before, action, action, from, to, limit);
	struct store_stmt by_action = STMT("SELECT " COLUMNS " FROM audit WHERE action = ? AND seq < ?"
	    " AND at >= ? AND at < ? ORDER BY seq DESC LIMIT ?", action, before, from, to, limit);
	struct store_stmt all = STMT("SELECT " COLUMNS " FROM audit WHERE seq < ? AND at >= ? AND at < ?"
	    " ORDER BY seq DESC LIMIT ?", before, from, to, limit);
	const struct store_stmt *stmt = q->by_actor ? &by_actor : q->tenant.p != NULL ? &by_tenant :
	    q->action.p != NULL ? &by_action : &all;

	return STORE_LIST(s, STORE_FRESH, stmt, a, from_row, out, n, f);
}
