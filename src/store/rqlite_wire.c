#include "store/rqlite_wire.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/hex.h"
#include "base/jsonw.h"
#include "store/engine.h"
#include "store/sql.h"

#define SQL_MAX (16u << 20)

/* ---- statements ---------------------------------------------------------------------------- */

/* Text that a newer rqlite would take for a BLOB: x'..', X'..'. */
static bool is_blob_shaped(struct str s)
{
	return s.n >= 3 && (s.p[0] == 'x' || s.p[0] == 'X') && s.p[1] == '\'';
}

static void add_hex(struct buf *out, struct str s)
{
	if (buf_reserve(out, 2 * s.n) == OK) {
		hex_encode(s.p, s.n, out->p + out->n);
		out->n += 2 * s.n;
	}
}

/* Puts the value into the text of the statement when it can't be a parameter. */
static bool as_literal(struct buf *sql, const struct store_val *v)
{
	bool text = v->type == STORE_TEXT;

	if (v->type == STORE_INT || v->type == STORE_NULL || v->s.p == NULL)
		return false;
	if (text && !is_blob_shaped(v->s))
		return false;
	buf_addz(sql, text ? "CAST(X'" : "X'");
	add_hex(sql, v->s);
	buf_addz(sql, text ? "' AS TEXT)" : "'");
	return true;
}

static void add_param(struct jsonw *w, const struct store_val *v)
{
	if (v->type == STORE_INT)
		jsonw_int(w, v->i);
	else if (v->type == STORE_NULL)
		jsonw_null(w);
	else
		jsonw_str(w, v->s); /* null when .p is NULL */
}

/* One statement as ["sql", parameter...]; `sql` is room for the text. */
static enum err add_statement(struct jsonw *w, struct buf *sql, const struct store_stmt *st,
    struct fail *f)
{
	struct str rest = str_c(st->sql), text;
	struct jsonw params;
	struct buf values;
	enum sql_token t;
	size_t k = 0;

	buf_clear(sql);
	buf_init(&values, SQL_MAX);
	params = jsonw_on(&values);
	while ((t = sql_next_token(&rest, &text)) != SQL_END) {
		if (t == SQL_PARAM && k < st->n && as_literal(sql, &st->v[k])) {
			k++;
			continue;
		}
		if (t == SQL_PARAM && k < st->n)
			add_param(&params, &st->v[k]);
		k += t == SQL_PARAM;
		buf_adds(sql, text);
	}
	jsonw_arr(w);
	jsonw_str(w, buf_str(sql));
	if (values.n > 0)
		jsonw_raw(w, buf_str(&values));
	jsonw_arr_end(w);
	w->out->failed |= values.failed || sql->failed;
	w->out->nomem |= values.nomem || sql->nomem;
	buf_release(&values);
	if (k != st->n)
		return fail_set(f, E_INTERNAL, "'%.80s' does not take %zu parameters", st->sql, st->n);
	return OK;
}

static enum err finish(struct buf *out, struct buf *sql, enum err e, struct fail *f)
{
	buf_release(sql);
	if (e == OK && out->failed)
		e = fail_set(f, buf_err(out), "%s", out->nomem ? "" : "the statements are too large");
	return e;
}

enum err wire_statements(struct buf *out, const struct store_stmt *st, size_t n, struct fail *f)
{
	struct jsonw w = jsonw_on(out);
	struct buf sql;
	enum err e = OK;

	buf_init(&sql, SQL_MAX);
	jsonw_arr(&w);
	for (size_t i = 0; i < n && e == OK; i++)
		e = add_statement(&w, &sql, &st[i], f);
	jsonw_arr_end(&w);
	return finish(out, &sql, e, f);
}

/* The statements of a batch, each with its guard behind it. */
static enum err add_batch(struct jsonw *w, struct buf *sql, const struct store_batch *b,
    struct fail *f)
{
	enum err e = OK;

	for (size_t i = 0; i < b->n && e == OK; i++) {
		struct store_stmt guard = STMT("INSERT INTO guard (ok) SELECT 0 WHERE changes() <> ?",
		    SV_INT(b->stmts[i].expect));

		e = add_statement(w, sql, &b->stmts[i], f);
		if (e == OK && b->stmts[i].expect != STORE_ANY)
			e = add_statement(w, sql, &guard, f);
	}
	return e;
}

enum err wire_batch(struct buf *out, const struct store_batch *b, struct fail *f)
{
	struct store_stmt op = STMT("INSERT INTO op (op_id) VALUES (?)", SV_ID(&b->op_id));
	struct jsonw w = jsonw_on(out);
	struct buf sql;
	enum err e;

	buf_init(&sql, SQL_MAX);
	jsonw_arr(&w);
	e = add_statement(&w, &sql, &op, f);
	if (e == OK)
		e = add_batch(&w, &sql, b, f);
	jsonw_arr_end(&w);
	return finish(out, &sql, e, f);
}

bool wire_is_single(const struct store_batch *b)
{
	return b->n == 1 && b->stmts[0].expect == 1;
}

/* Of a single, the op_id is there when the guard held, and nothing is when no row was found. More rows
 * than one would stay changed: then the NULL refuses the group. */
static enum err add_rider(struct jsonw *w, struct buf *sql, const struct store_batch *b,
    struct fail *f)
{
	struct store_stmt op = STMT("INSERT INTO op (op_id, fenced)"
	    " SELECT ?, CASE changes() WHEN 1 THEN 0 END WHERE changes() > 0", SV_ID(&b->op_id));
	enum err e;

	if (!wire_is_single(b))
		return add_batch(w, sql, b, f);
	e = add_statement(w, sql, &b->stmts[0], f);
	return e == OK ? add_statement(w, sql, &op, f) : e;
}

/* The op_ids of the group and of all but singles in one statement:
 * ["INSERT INTO op (op_id) VALUES (X'..'), (X'..')"]. */
static void add_op_ids(struct jsonw *w, struct buf *sql, struct id op_id,
    const struct store_batch *const *b, size_t n)
{
	buf_clear(sql);
	buf_addz(sql, "INSERT INTO op (op_id) VALUES (X'");
	add_hex(sql, str_n((const char *)op_id.b, sizeof op_id.b));
	for (size_t i = 0; i < n; i++) {
		if (wire_is_single(b[i]))
			continue;
		buf_addz(sql, "'), (X'");
		add_hex(sql, str_n((const char *)b[i]->op_id.b, sizeof op_id.b));
	}
	buf_addz(sql, "')");
	jsonw_arr(w);
	jsonw_str(w, buf_str(sql));
	jsonw_arr_end(w);
}

enum err wire_group(struct buf *out, struct id op_id, const struct store_batch *const *b, size_t n,
    struct fail *f)
{
	struct jsonw w = jsonw_on(out);
	struct buf sql;
	enum err e = OK;

	buf_init(&sql, SQL_MAX);
	jsonw_arr(&w);
	add_op_ids(&w, &sql, op_id, b, n);
	for (size_t i = 0; i < n && e == OK; i++)
		e = add_rider(&w, &sql, b[i], f);
	jsonw_arr_end(&w);
	return finish(out, &sql, e, f);
}

/* ---- answers ------------------------------------------------------------------------------- */

static json_t *parse(struct str body)
{
	return json_loadb(body.p != NULL ? body.p : "", body.n, JSON_ALLOW_NUL, NULL);
}

static struct str trim_line(struct str s)
{
	while (s.n > 0 && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	return s;
}

/* What the server said, without the doubt: these are answered before a write enters the log. */
static bool is_before_the_log(struct str said)
{
	static const char *const safe[] = { "leader not found", "not leader", "node is not the leader",
		"store not ready", "store not open", "stale read" };

	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		if (str_eqc(said, safe[i]))
			return true;
	return false;
}

/* An answer that is no result at all. Returns false when the status is one that only a fault of ours
 * or of the set-up explains: then *err says so, and another attempt is useless. */
static bool may_retry(int status, struct str body, enum err *err, struct fail *f)
{
	struct str said = trim_line(body);

	if (said.n > 200)
		said.n = 200;
	if (status == 401 || status == 403)
		*err = fail_set(f, E_STORE_UNAVAILABLE, "rqlite refuses us (HTTP %d): check the"
		    " certificate and what it is allowed", status);
	else if (status == 400 || (status == 500 && str_starts(said, STR("SQL rewrite"))))
		*err = fail_set(f, E_INTERNAL, "rqlite: %.*s", STR_ARG(said));
	else if (status == 404 || status == 405)
		*err = fail_set(f, E_STORE_UNAVAILABLE, "HTTP %d: this is not an rqlite server", status);
	else
		return fail_set(f, E_STORE_UNAVAILABLE, "rqlite: %.*s (HTTP %d)", STR_ARG(said), status),
		    true;
	return false;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *t = json_string_value(json_object_get(object, key));

	return t != NULL ? t : "";
}

/* Which statement of the batch the i-th of the wire belongs to; *guard: it is its guard. */
static size_t statement_at(const struct store_batch *b, size_t wire, bool *guard)
{
	size_t at = 1; /* 0 is the op_id */

	for (size_t i = 0; i < b->n; i++) {
		*guard = false;
		if (at++ == wire)
			return i;
		*guard = true;
		if (b->stmts[i].expect != STORE_ANY && at++ == wire)
			return i;
	}
	*guard = false;
	return b->n;
}

static size_t guards_and_statements(const struct store_batch *b)
{
	size_t n = b->n;

	for (size_t i = 0; i < b->n; i++)
		n += b->stmts[i].expect != STORE_ANY;
	return n;
}

static size_t group_statements(const struct store_batch *const *b, size_t n)
{
	size_t sum = 1;

	for (size_t i = 0; i < n; i++)
		sum += guards_and_statements(b[i]);
	return sum;
}

/* Which statement said what, when one did: then the transaction was rolled back. */
struct refusal {
	size_t wire;
	char said[256];
};

static enum wire_outcome read_results(const json_t *results, size_t want, struct refusal *r,
    struct fail *f)
{
	size_t n = json_array_size(results);

	for (size_t i = 0; i < n; i++) {
		const char *said = text_of(json_array_get(results, i), "error");

		if (said[0] == '\0')
			continue;
		if (strcmp(said, "no such table: op") == 0 || strcmp(said, "no such table: guard") == 0)
			return WIRE_NO_TABLES;
		if (i == 0 && strcmp(said, "UNIQUE constraint failed: op.op_id") == 0)
			return WIRE_DONE_BEFORE;
		r->wire = i;
		snprintf(r->said, sizeof r->said, "%s", said);
		return WIRE_REFUSED;
	}
	if (n == want)
		return WIRE_DONE;
	fail_set(f, E_STORE_UNAVAILABLE, "rqlite gave %zu results for %zu statements", n, want);
	return WIRE_UNKNOWN;
}

/* The parsed answer to a transaction of `want` statements. */
static enum wire_outcome read_answer(const json_t *root, size_t want, struct refusal *r,
    struct fail *f)
{
	enum wire_outcome out = WIRE_UNKNOWN;
	const char *said = text_of(root, "error");

	if (said[0] != '\0') {
		fail_set(f, E_STORE_UNAVAILABLE, "rqlite: %.200s", said);
		out = is_before_the_log(str_c(said)) ? WIRE_RETRY : WIRE_UNKNOWN;
	} else if (json_is_array(json_object_get(root, "results"))) {
		out = read_results(json_object_get(root, "results"), want, r, f);
	} else {
		fail_set(f, E_STORE_UNAVAILABLE, "rqlite gave an answer that is not understood");
	}
	return out;
}

/* ---- rows ---------------------------------------------------------------------------------- */

static enum err blob_of(const json_t *bytes, struct arena *a, struct store_val *v)
{
	size_t n = json_array_size(bytes);
	char *p = arena_alloc(a, n > 0 ? n : 1);

	if (p == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *b = json_array_get(bytes, i);

		if (!json_is_integer(b) || json_integer_value(b) < 0 || json_integer_value(b) > 255)
			return E_INTERNAL;
		p[i] = (char)json_integer_value(b);
	}
	*v = SV_BLOB(str_n(p, n));
	return OK;
}

static enum err value_of(const json_t *j, struct arena *a, struct store_val *v)
{
	*v = SV_NULL;
	switch (json_typeof(j)) {
	case JSON_NULL:
		return OK;
	case JSON_INTEGER:
		*v = SV_INT(json_integer_value(j));
		return OK;
	case JSON_STRING:
		*v = SV_TEXT(arena_str(a, str_n(json_string_value(j), json_string_length(j))));
		return v->s.p != NULL ? OK : E_NOMEM;
	case JSON_ARRAY:
		return blob_of(j, a, v);
	default:
		return E_INTERNAL;
	}
}

static enum err rows_of(const json_t *result, struct arena *a, struct store_rows *r, struct fail *f)
{
	const json_t *values = json_object_get(result, "values");
	enum err e = OK;

	*r = (struct store_rows){ .nrows = json_array_size(values),
		.ncols = json_array_size(json_object_get(result, "columns")) };
	r->v = arena_zalloc(a, (r->nrows * r->ncols + 1) * sizeof *r->v);
	if (r->v == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	for (size_t i = 0; i < r->nrows && e == OK; i++) {
		const json_t *row = json_array_get(values, i);

		if (json_array_size(row) != r->ncols)
			return fail_set(f, E_INTERNAL, "rqlite gave a row of another width");
		for (size_t k = 0; k < r->ncols && e == OK; k++)
			e = value_of(json_array_get(row, k), a, &r->v[i * r->ncols + k]);
	}
	return e == OK || e == E_NOMEM ? e :
	    fail_set(f, e, "rqlite gave a value that is no integer, text, BLOB or NULL");
}

static enum err all_rows(const json_t *results, size_t n, struct arena *a, struct store_rows *out,
    bool *retry, struct fail *f)
{
	enum err e = OK;

	for (size_t i = 0; i < json_array_size(results); i++) {
		const char *said = text_of(json_array_get(results, i), "error");

		if (said[0] != '\0')
			return engine_sql_error(said, f);
	}
	if (json_array_size(results) != n) {
		*retry = true;
		return fail_set(f, E_STORE_UNAVAILABLE, "rqlite gave %zu results for %zu statements",
		    json_array_size(results), n);
	}
	for (size_t i = 0; i < n && e == OK; i++)
		e = rows_of(json_array_get(results, i), a, &out[i], f);
	return e;
}

enum err wire_read_rows(int status, struct str body, size_t n, struct arena *a,
    struct store_rows *out, bool *retry, struct fail *f)
{
	enum err e = E_STORE_UNAVAILABLE;
	json_t *root = NULL;
	const char *said;

	*retry = false;
	if (status != 200) {
		*retry = may_retry(status, body, &e, f);
		return e;
	}
	root = parse(body);
	said = text_of(root, "error");
	if (said[0] == '\0' && json_is_array(json_object_get(root, "results"))) {
		e = all_rows(json_object_get(root, "results"), n, a, out, retry, f);
	} else {
		*retry = true;
		fail_set(f, e, "rqlite: %.200s", said[0] != '\0' ? said : "an answer that is not"
		    " understood");
	}
	json_decref(root);
	return e;
}

/* ---- what a write says ---------------------------------------------------------------------- */

/* What the batch returns, from its first result on; behind each guarded statement stands its guard, or
 * what a single has there. The write is done: what can't be read is not known. */
static size_t take_rows(const json_t *results, size_t at, const struct store_batch *b)
{
	struct fail none = { 0 };

	for (size_t i = 0; i < b->n; i++) {
		if (b->out != NULL && rows_of(json_array_get(results, at), b->arena, &b->out[i], &none) != OK)
			b->out[i] = (struct store_rows){ 0 };
		fail_clear(&none);
		at += 1 + (b->stmts[i].expect != STORE_ANY);
	}
	return at;
}

static enum wire_outcome read_batch(const json_t *root, const struct store_batch *b, enum err *err,
    size_t *at, struct fail *f)
{
	struct refusal r;
	bool guard;
	enum wire_outcome out = read_answer(root, 1 + guards_and_statements(b), &r, f);

	if (out == WIRE_DONE)
		take_rows(json_object_get(root, "results"), 1, b);
	if (out != WIRE_REFUSED)
		return out;
	*at = statement_at(b, r.wire, &guard);
	if (guard && strncmp(r.said, "CHECK constraint failed", 23) == 0)
		*err = engine_guard_error(&b->stmts[*at], *at, f);
	else
		*err = engine_sql_error(r.said, f);
	return WIRE_REFUSED;
}

/* An answer to a write that is no result. */
static enum wire_outcome read_no_result(int status, struct str body, enum err *err, struct fail *f)
{
	if (!may_retry(status, body, err, f))
		return WIRE_REFUSED;
	return is_before_the_log(trim_line(body)) ? WIRE_RETRY : WIRE_UNKNOWN;
}

enum wire_outcome wire_read_batch(int status, struct str body, const struct store_batch *b,
    enum err *err, size_t *at, struct fail *f)
{
	enum wire_outcome out;
	json_t *root;

	*at = b->n;
	if (status != 200)
		return read_no_result(status, body, err, f);
	root = parse(body);
	out = read_batch(root, b, err, at, f);
	json_decref(root);
	return out;
}

static void take_group(const json_t *results, const struct store_batch *const *b, size_t n,
    bool *held)
{
	size_t at = 1; /* 0 is the op_ids */

	for (size_t i = 0; i < n; i++) {
		at = take_rows(results, at, b[i]);
		held[i] = !wire_is_single(b[i]) || json_integer_value(json_object_get(
		    json_array_get(results, at - 1), "rows_affected")) == 1;
	}
}

enum wire_outcome wire_read_group(int status, struct str body, const struct store_batch *const *b,
    size_t n, bool *held, struct fail *f)
{
	enum wire_outcome out;
	struct refusal r;
	json_t *root;
	enum err e;

	if (status != 200)
		return read_no_result(status, body, &e, f);
	root = parse(body);
	out = read_answer(root, group_statements(b, n), &r, f);
	if (out == WIRE_DONE)
		take_group(json_object_get(root, "results"), b, n, held);
	json_decref(root);
	return out;
}

bool wire_has_linearizable(struct str version)
{
	struct str rest, major;
	uint64_t m, n;

	if (str_starts(version, STR("v")))
		version = str_skip(version, 1);
	major = str_cut(version, '.', &rest);
	if (!str_u64(major, 1000, &m))
		return false;
	if (m != 8)
		return m > 8;
	return str_u64(str_cut(rest, '.', &rest), 100000, &n) && n >= 32;
}
