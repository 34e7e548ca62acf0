/* The rqlite engine. What is safe to repeat is repeated, on one node after the other, until the call's
 * time is over (rqlite_call.h).
 *
 * Writes are safe to repeat, whatever became of an attempt: the batch's first statement inserts its
 * op_id, so a second application is refused. Only when a later attempt is refused for another reason
 * (a guard, a constraint) may an earlier, lost one still be on its way; then the op_id is *fenced*:
 * one statement either finds that the batch has happened, or puts the op_id there itself, so that it
 * never can. Thus a write ends as done or surely not done whenever the cluster answers in time.
 *
 * Small batches that wait at the same time ride in one transaction, which has an op_id of its own. It
 * is all or nothing: when one of them is refused, nothing of the group has happened (or is fenced off,
 * by the group's op_id) and each goes alone, so that its answer never hangs on its neighbours. A single
 * statement that wants one row and finds none refuses nobody: it has changed nothing, and its op_id is
 * put there only when it found it. rqlite's bulk requests without a transaction would be no use: there
 * a statement can't depend on its op_id. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/heap.h"
#include "store/engine.h"
#include "store/rqlite_call.h"
#include "store/rqlite_group.h"
#include "store/rqlite_wire.h"

#define OPS_KEPT (3600 * CLOCK_SEC)
#define RIDER_STATEMENTS 16 /* larger batches go alone */
#define RIDER_BYTES 16384

struct rqlite {
	struct engine engine;
	struct meter *meter;
	struct group group;
	struct rqlite_nodes nodes;
};

/* ---- read ---------------------------------------------------------------------------------- */

static const char *read_path(const struct rqlite *r, enum store_level level)
{
	switch (level) {
	case STORE_STALE:
		return "/db/query?level=none&transaction&blob_array";
	case STORE_FRESH:
		return "/db/query?level=weak&transaction&blob_array";
	default: /* older servers would take `linearizable` for `weak` */
		return r->nodes.linearizable ? "/db/query?level=linearizable&transaction&blob_array" :
		    "/db/query?level=strong&transaction&blob_array";
	}
}

static enum err rqlite_read(struct engine *engine, enum store_level level,
    const struct store_stmt *stmts, size_t n, struct arena *a, struct store_rows *out,
    struct fail *f)
{
	struct rqlite *r = (struct rqlite *)engine;
	struct buf body;
	struct rqlite_call c;
	enum err e;

	buf_init(&body, RQLITE_BODY_MAX);
	rqlite_call_init(&c, &r->nodes);
	e = wire_statements(&body, stmts, n, f);
	if (e == OK)
		e = rqlite_call_ask(&c, level != STORE_STALE, read_path(r, level), buf_str(&body), n, a, out, f);
	rqlite_call_release(&c);
	buf_release(&body);
	return e;
}

/* ---- write --------------------------------------------------------------------------------- */

#define OWN_TABLES \
    "[\"CREATE TABLE IF NOT EXISTS op (\\n" \
    "\\top_id BLOB NOT NULL PRIMARY KEY,\\n" \
    "\\tfenced INTEGER NOT NULL DEFAULT 0\\n" \
    ") STRICT, WITHOUT ROWID\"," \
    "\"CREATE TABLE IF NOT EXISTS guard (\\n" \
    "\\tok INTEGER NOT NULL CHECK (ok = 1)\\n" \
    ") STRICT\"]"

static enum err make_tables(struct rqlite_call *c, struct arena *a, struct fail *f)
{
	struct store_rows none[2];

	return rqlite_call_ask(c, true, "/db/execute?transaction&blob_array", STR(OWN_TABLES), 2, a, none, f);
}

/* Finds out for good whether the batch has happened, and sees to it that it never will when not. */
static enum err settle(struct rqlite_call *c, struct id op_id, struct arena *a, bool *happened,
    struct fail *f)
{
	struct store_stmt st = STMT("INSERT INTO op (op_id, fenced) VALUES (?, 1)"
	    " ON CONFLICT (op_id) DO UPDATE SET fenced = fenced RETURNING fenced", SV_ID(&op_id));
	struct store_rows r;
	struct buf body;
	enum err e;

	buf_init(&body, 4096);
	e = wire_statements(&body, &st, 1, f);
	if (e == OK)
		e = rqlite_call_ask(c, true, "/db/execute?transaction&blob_array", buf_str(&body), 1, a, &r, f);
	if (e == OK && r.nrows != 1)
		e = fail_set(f, E_INTERNAL, "rqlite did not return the outcome of an op_id");
	if (e == OK)
		*happened = store_int(&r, 0, 0) == 0;
	buf_release(&body);
	return e;
}

/* The end of a write of which an attempt may have happened, or has. `e`, `f`: what to return when it
 * has not. */
static enum err settled(struct rqlite_call *c, struct id op_id, struct arena *a, enum err e,
    struct fail *f)
{
	struct fail own = { 0 };
	bool happened = false;
	enum err s = settle(c, op_id, a, &happened, &own);

	if (s == OK && happened) {
		if (f != NULL)
			fail_clear(f);
		return OK;
	}
	if (s == OK)
		return e;
	return fail_set(f, E_STORE_UNKNOWN, "%s", fail_text(&own));
}

/* What is written: one batch, or a group of them. */
struct message {
	struct id op_id;
	struct str body;
	const struct store_batch *b; /* NULL: a group */
	const struct store_batch *const *group;
	size_t n;
	enum err given_up; /* what it means that the op_id is there and the write is not */
	bool answered;     /* done, and an answer told of each batch of the group: */
	bool held[GROUP_MAX];
};

static enum wire_outcome read_outcome(struct message *m, const struct http_answer *a,
    enum err *err, size_t *at, struct fail *f)
{
	if (m->b != NULL)
		return wire_read_batch(a->status, buf_str(&a->body), m->b, err, at, f);
	*err = E_GUARD;
	return wire_read_group(a->status, buf_str(&a->body), m->group, m->n, m->held, f);
}

static enum wire_outcome write_once(struct rqlite_call *c, struct message *m, enum err *err,
    size_t *at, struct fail *f)
{
	size_t node = c->nodes->leader;
	enum wire_outcome o;

	switch (rqlite_call_leader(c, "/db/execute?transaction", m->body, f)) {
	case HTTP_NOT_SENT:
		return WIRE_RETRY;
	case HTTP_LOST:
		return WIRE_UNKNOWN;
	default:
		o = read_outcome(m, &c->answer, err, at, f);
		if (o == WIRE_RETRY || o == WIRE_UNKNOWN)
			rqlite_nodes_next(c->nodes, &c->nodes->leader, node);
		return o;
	}
}

static enum err write_message(struct rqlite_call *c, struct message *m, size_t *at, struct arena *a,
    struct fail *f)
{
	bool maybe = false; /* an attempt may have been applied, or may yet be */
	enum err e = E_STORE_UNAVAILABLE;

	for (;;) {
		switch (write_once(c, m, &e, at, f)) {
		case WIRE_DONE:
			m->answered = true;
			return OK;
		case WIRE_DONE_BEFORE:
			return settled(c, m->op_id, a, fail_set(f, m->given_up,
			    "the write with this op_id was given up"), f);
		case WIRE_REFUSED:
			return maybe ? settled(c, m->op_id, a, e, f) : e;
		case WIRE_NO_TABLES:
			e = make_tables(c, a, f);
			if (e != OK)
				return e;
			continue;
		case WIRE_UNKNOWN:
			maybe = true;
			break;
		case WIRE_RETRY:
			break;
		}
		if (m->b != NULL)
			*at = m->b->n;
		if (rqlite_call_over(c))
			return f->err = maybe ? E_STORE_UNKNOWN : E_STORE_UNAVAILABLE;
		rqlite_call_pause(c);
	}
}

/* The group is done, but the answer was lost. The op_id of a single tells whether its guard held. */
static enum err ask_held(struct rqlite_call *c, struct message *m, struct arena *a, struct fail *f)
{
	enum err e = OK;

	for (size_t i = 0; i < m->n && e == OK; i++) {
		m->held[i] = true;
		if (wire_is_single(m->group[i]))
			e = settle(c, m->group[i]->op_id, a, &m->held[i], f);
	}
	return e == OK ? OK : (f->err = E_STORE_UNKNOWN);
}

static enum err send_message(struct rqlite *r, struct message *m, int64_t deadline, size_t *at,
    size_t batches, struct fail *f)
{
	struct arena a;
	struct rqlite_call c;
	enum err e;

	arena_init(&a, 1 << 20);
	rqlite_call_init(&c, &r->nodes);
	c.deadline = deadline;
	e = write_message(&c, m, at, &a, f);
	if (e == OK)
		meter_commit(r->meter, batches);
	if (e == OK && m->b == NULL && !m->answered)
		e = ask_held(&c, m, &a, f);
	rqlite_call_release(&c);
	arena_release(&a);
	return e;
}

static enum err send_alone(struct rqlite *r, const struct store_batch *b, int64_t deadline,
    size_t *at, struct fail *f)
{
	struct message m = { .op_id = b->op_id, .b = b, .given_up = E_STORE_UNAVAILABLE };
	struct buf body;
	enum err e;

	buf_init(&body, RQLITE_BODY_MAX);
	e = wire_batch(&body, b, f);
	m.body = buf_str(&body);
	if (e == OK)
		e = send_message(r, &m, deadline, at, 1, f);
	buf_release(&body);
	return e;
}

static void rider_refused(struct rider *r)
{
	struct fail f = { 0 };

	r->failed_at = 0;
	r->err = engine_guard_error(&r->b->stmts[0], 0, &f);
	snprintf(r->text, sizeof r->text, "%.255s", f.text);
	fail_clear(&f);
}

static enum err send_group(void *ctx, struct rider *const *riders, size_t n, struct fail *f)
{
	struct rqlite *r = ctx;
	const struct store_batch *b[GROUP_MAX];
	struct message m = { .op_id = id_new(clock_wall()), .given_up = E_GUARD };
	struct buf body;
	enum err e;

	for (size_t i = 0; i < n; i++)
		b[i] = riders[i]->b;
	m.group = b;
	m.n = n;
	buf_init(&body, RQLITE_BODY_MAX);
	e = wire_group(&body, m.op_id, b, n, f);
	m.body = buf_str(&body);
	/* one that can't be encoded is told so alone */
	e = e == OK ? send_message(r, &m, riders[0]->deadline, NULL, n, f) : E_GUARD;
	for (size_t i = 0; e == OK && i < n; i++)
		if (!m.held[i])
			rider_refused(riders[i]);
	buf_release(&body);
	return e;
}

static bool may_ride(const struct store_batch *b)
{
	size_t bytes = 0;

	for (size_t i = 0; i < b->n && i < RIDER_STATEMENTS; i++)
		for (size_t k = 0; k < b->stmts[i].n; k++)
			bytes += b->stmts[i].v[k].s.n;
	return b->n <= RIDER_STATEMENTS && bytes <= RIDER_BYTES;
}

static enum err ride(struct rqlite *r, const struct store_batch *b, int64_t deadline, size_t *at,
    struct fail *f)
{
	struct rider rider = { .b = b, .deadline = deadline, .failed_at = b->n };
	enum err e;

	group_ride(&r->group, &rider);
	*at = rider.failed_at;
	if (rider.state == RIDER_DONE)
		return rider.err == OK ? OK : fail_set(f, rider.err, "%s", rider.text);
	e = send_alone(r, b, deadline, at, f);
	group_leave(&r->group, &rider, e);
	return e;
}

static enum err rqlite_write(struct engine *engine, const struct store_batch *b, size_t *failed_at,
    struct fail *f)
{
	struct rqlite *r = (struct rqlite *)engine;
	int64_t deadline = clock_mono() + r->nodes.timeout_us;
	struct fail own = { 0 };
	enum err e;

	*failed_at = b->n;
	e = may_ride(b) ? ride(r, b, deadline, failed_at, &own) :
	    send_alone(r, b, deadline, failed_at, &own);
	if (e == OK && f != NULL)
		fail_clear(f);
	else if (e != OK)
		fail_set(f, e, "%s", own.text);
	fail_clear(&own);
	return e;
}

/* ---- the engine ---------------------------------------------------------------------------- */

/* UUIDv7 begins with its milliseconds: everything older than the limit is below it. */
static enum err rqlite_tidy(struct engine *engine, int64_t now, struct fail *f)
{
	struct id limit = { 0 };
	struct store_stmt st = STMT("DELETE FROM op WHERE op_id IN"
	    " (SELECT op_id FROM op WHERE op_id < ? ORDER BY op_id LIMIT 20000)", SV_ID(&limit));
	struct store_batch b = { id_new(now), &st, 1 };
	uint64_t ms = (uint64_t)(now - OPS_KEPT) / 1000;
	size_t at;

	for (int i = 0; i < 6; i++)
		limit.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	return rqlite_write(engine, &b, &at, f);
}

static void rqlite_stop(struct engine *engine)
{
	((struct rqlite *)engine)->nodes.stop = true;
}

static void rqlite_close(struct engine *engine)
{
	struct rqlite *r = (struct rqlite *)engine;

	rqlite_nodes_release(&r->nodes);
	group_release(&r->group);
	heap_free(r);
}

static const struct engine_ops rqlite_ops = {
	.read = rqlite_read,
	.write = rqlite_write,
	.tidy = rqlite_tidy,
	.stop = rqlite_stop,
	.close = rqlite_close,
};

/* Asks any node for anything: learns whether one is there, and its version. */
static enum err greet(struct rqlite *r, struct fail *f)
{
	struct store_stmt st = STMT("SELECT 1");
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, 1 << 16);
	e = rqlite_read(&r->engine, STORE_STALE, &st, 1, &a, &rows, f);
	arena_release(&a);
	return e;
}

enum err rqlite_open(struct engine **out, const struct store_config *c, const char *list,
    struct meter *m, struct fail *f)
{
	struct rqlite *r = heap_zalloc(sizeof *r);
	enum err e;

	if (r == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	r->engine.ops = &rqlite_ops;
	r->meter = m;
	group_init(&r->group, r, send_group);
	e = rqlite_nodes_init(&r->nodes, c, list, f);
	if (e == OK)
		e = greet(r, f);
	if (e != OK) {
		rqlite_close(&r->engine);
		return e;
	}
	*out = &r->engine;
	return OK;
}
