/* The bytes that go to rqlite and every shape of answer that comes back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "store/rqlite_wire.h"

#define S(...) ((struct store_stmt)STMT(__VA_ARGS__))

static void assert_wire(const struct store_stmt *st, const char *want)
{
	struct fail f = { 0 };
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(wire_statements(&b, st, 1, &f), OK);
	assert_string_equal(buf_cstr(&b), want);
	buf_release(&b);
}

static void values_become_parameters_or_hex(void **state)
{
	(void)state;
	assert_wire(&S("SELECT 1"), "[[\"SELECT 1\"]]");
	assert_wire(&S("A ?, ? '?' -- ?\n?", SV_INT(INT64_MIN), SV_Z("t"), SV_NULL),
	    "[[\"A ?, ? '?' -- ?\\n?\",-9223372036854775808,\"t\",null]]");
	assert_wire(&S("A ? ? ?", SV_INT(1), SV_BLOB(str_n("\0\xff", 2)), SV_INT(2)),
	    "[[\"A ? X'00ff' ?\",1,2]]");
	assert_wire(&S("A ?", SV_BLOB(STR(""))), "[[\"A X''\"]]");
	assert_wire(&S("A ? ?", SV_Z("x'6869'"), SV_Z("X'")),
	    "[[\"A CAST(X'78273638363927' AS TEXT) ?\",\"X'\"]]");
	assert_wire(&S("A ? ?", SV_TEXT(STR_NONE), SV_BLOB(STR_NONE)), "[[\"A ? ?\",null,null]]");
}

static void a_wrong_number_of_values_is_a_fault(void **state)
{
	struct fail f = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(wire_statements(&b, &S("A ?"), 1, &f), E_INTERNAL);
	assert_int_equal(wire_statements(&b, &S("A", SV_INT(1)), 1, &f), E_INTERNAL);
	assert_int_equal(wire_statements(&b, &S("A '?'", SV_INT(1)), 1, &f), E_INTERNAL);
	buf_release(&b);
	buf_init(&b, 64);
	assert_int_equal(wire_statements(&b, &S("A ?", SV_Z("0123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789")), 1, &f), E_LIMIT);
	buf_release(&b);
}

/* op_id, plain, guarded (two on the wire), plain */
static const struct store_stmt three[] = {
	{ .sql = "A", .expect = STORE_ANY },
	{ .sql = "B", .expect = 1, .otherwise = E_NOT_FOUND },
	{ .sql = "C", .expect = STORE_ANY },
};
static const struct store_batch batch = { { { 1, 2 } }, three, 3 };

static void a_batch_has_its_op_id_and_guards(void **state)
{
	struct fail f = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(wire_batch(&b, &batch, &f), OK);
	assert_string_equal(buf_cstr(&b),
	    "[[\"INSERT INTO op (op_id) VALUES (X'01020000000000000000000000000000')\"],[\"A\"],[\"B\"],"
	    "[\"INSERT INTO guard (ok) SELECT 0 WHERE changes() <> ?\",1],[\"C\"]]");
	buf_release(&b);
}

static void a_group_has_all_op_ids_and_one_of_its_own(void **state)
{
	static const struct store_batch two = { { { 3 } }, three, 1 };
	const struct store_batch *b[] = { &batch, &two };
	struct fail f = { 0 };
	struct buf out;
	bool held[2];

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(wire_group(&out, (struct id){ { 9 } }, b, 2, &f), OK);
	assert_string_equal(buf_cstr(&out), "[[\"INSERT INTO op (op_id) VALUES"
	    " (X'09000000000000000000000000000000'), (X'01020000000000000000000000000000'),"
	    " (X'03000000000000000000000000000000')\"],[\"A\"],[\"B\"],"
	    "[\"INSERT INTO guard (ok) SELECT 0 WHERE changes() <> ?\",1],[\"C\"],[\"A\"]]");
	buf_release(&out);
#define READ(status, body) wire_read_group(status, STR(body), b, 2, held, &f)
	assert_int_equal(READ(200, "{\"results\":[{},{},{},{},{},{}]}"), WIRE_DONE);
	assert_true(held[0] && held[1]);
	assert_int_equal(READ(200, "{\"results\":[{},{},{},{},{}]}"), WIRE_UNKNOWN);
	assert_int_equal(READ(200, "{\"results\":[{},{\"error\":\"x\"}]}"), WIRE_REFUSED);
	assert_int_equal(READ(200, "{\"results\":[{\"error\":"
	    "\"UNIQUE constraint failed: op.op_id\"}]}"), WIRE_DONE_BEFORE);
	assert_int_equal(READ(503, "leader not found"), WIRE_RETRY);
	assert_int_equal(READ(400, "what"), WIRE_REFUSED);
}

/* Its op_id comes behind it, and only when the guard held; what it returns is its own. */
static void a_single_in_a_group_hinders_nobody(void **state)
{
	struct store_rows rows[2] = { 0 };
	struct arena a;
	struct store_batch one = { { { 4 } }, three + 1, 1, &a, &rows[0] };
	struct store_batch other = { { { 5 } }, three + 1, 1, &a, &rows[1] };
	const struct store_batch *b[] = { &one, &other };
	struct fail f = { 0 };
	struct buf out;
	bool held[2];

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(wire_group(&out, (struct id){ { 9 } }, b, 2, &f), OK);
	assert_string_equal(buf_cstr(&out), "[[\"INSERT INTO op (op_id) VALUES"
	    " (X'09000000000000000000000000000000')\"],[\"B\"],[\"INSERT INTO op (op_id, fenced) SELECT"
	    " X'04000000000000000000000000000000', CASE changes() WHEN 1 THEN 0 END WHERE changes() > 0\"],"
	    "[\"B\"],[\"INSERT INTO op (op_id, fenced) SELECT"
	    " X'05000000000000000000000000000000', CASE changes() WHEN 1 THEN 0 END WHERE changes() > 0\"]]");
	buf_release(&out);
	arena_init(&a, 1 << 16);
	assert_int_equal(READ(200, "{\"results\":[{},{\"columns\":[\"n\"],\"types\":[\"\"]},{},"
	    "{\"columns\":[\"n\"],\"types\":[\"\"],\"values\":[[7]]},{\"rows_affected\":1}]}"), WIRE_DONE);
	assert_true(!held[0] && held[1]);
	assert_int_equal(rows[0].nrows, 0);
	assert_int_equal(store_int(&rows[1], 0, 0), 7);
	arena_release(&a);
}

static const struct {
	int status;
	const char *body;
	enum wire_outcome outcome;
	enum err err;
	size_t at;
} answers[] = {
	{ 200, "{\"results\":[{},{},{},{},{\"rows_affected\":1}]}", WIRE_DONE, 0, 3 },
	{ 200, "{\"results\":[{\"error\":\"UNIQUE constraint failed: op.op_id\"}]}", WIRE_DONE_BEFORE },
	{ 200, "{\"results\":[{\"error\":\"no such table: op\"}]}", WIRE_NO_TABLES },
	{ 200, "{\"results\":[{},{},{},{\"error\":\"no such table: guard\"}]}", WIRE_NO_TABLES },
	{ 200, "{\"results\":[{},{},{},{\"error\":\"CHECK constraint failed: ok = 1\"}]}",
	  WIRE_REFUSED, E_NOT_FOUND, 1 },
	{ 200, "{\"results\":[{},{\"error\":\"UNIQUE constraint failed: op.op_id\"}]}",
	  WIRE_REFUSED, E_CONSTRAINT, 0 },
	{ 200, "{\"results\":[{},{},{\"error\":\"CHECK constraint failed: n > 1\"}]}",
	  WIRE_REFUSED, E_CONSTRAINT, 1 },
	{ 200, "{\"results\":[{},{},{},{},{\"error\":\"no such table: t\"}]}", WIRE_REFUSED, E_SCHEMA, 2 },
	{ 200, "{\"results\":[{},{},{},{},{\"error\":\"near \\\"C\\\": syntax error\"}]}",
	  WIRE_REFUSED, E_INTERNAL, 2 },
	{ 200, "{\"results\":[{},{\"error\":\"database or disk is full\"}]}",
	  WIRE_REFUSED, E_STORE_UNAVAILABLE, 0 },
	{ 200, "{\"results\":[{}]}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"results\":[]}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"results\":null}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"results\":[],\"error\":\"leadership lost while committing log\"}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"error\":\"timed out enqueuing operation\"}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"error\":\"not leader\"}", WIRE_RETRY, 0, 3 },
	{ 200, "{\"error\":\"leader not found\"}", WIRE_RETRY, 0, 3 },
	{ 200, "{\"error\":\"node failed to process Execute on remote node at x: not leader\"}",
	  WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"error\":7}", WIRE_UNKNOWN, 0, 3 },
	{ 200, "", WIRE_UNKNOWN, 0, 3 },
	{ 200, "{\"results\":[{},", WIRE_UNKNOWN, 0, 3 },
	{ 200, "[]", WIRE_UNKNOWN, 0, 3 },
	{ 503, "leader not found\n", WIRE_RETRY, 0, 3 },
	{ 500, "leader not found\n", WIRE_RETRY, 0, 3 },
	{ 503, "something else", WIRE_UNKNOWN, 0, 3 },
	{ 500, "", WIRE_UNKNOWN, 0, 3 },
	{ 408, "timeout", WIRE_UNKNOWN, 0, 3 },
	{ 400, "invalid JSON body\n", WIRE_REFUSED, E_INTERNAL, 3 },
	{ 500, "SQL rewrite: what\n", WIRE_REFUSED, E_INTERNAL, 3 },
	{ 401, "", WIRE_REFUSED, E_STORE_UNAVAILABLE, 3 },
	{ 404, "404 page not found", WIRE_REFUSED, E_STORE_UNAVAILABLE, 3 },
};

static void every_answer_to_a_batch_has_its_meaning(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		struct fail f = { 0 };
		enum err e = OK;
		size_t at = 99;
		enum wire_outcome o = wire_read_batch(answers[i].status, str_c(answers[i].body), &batch, &e,
		    &at, &f);

		if (o != answers[i].outcome || (o == WIRE_REFUSED && (e != answers[i].err ||
		    f.err != e || at != answers[i].at)))
			fail_msg("%d %s: outcome %d, %s at %zu (%s)", answers[i].status, answers[i].body, o,
			    err_code(e), at, f.text);
		if (o == WIRE_RETRY || o == WIRE_UNKNOWN)
			assert_true(f.err == E_STORE_UNAVAILABLE && f.text[0] != '\0');
	}
}

static enum err rows_of(int status, const char *body, struct arena *a, struct store_rows *r,
    bool *retry)
{
	struct fail f = { 0 };

	arena_clear(a);
	return wire_read_rows(status, str_c(body), 1, a, r, retry, &f);
}

static void rows_are_read_exactly(void **state)
{
	struct store_rows r;
	struct arena a;
	bool retry;

	(void)state;
	arena_init(&a, 1 << 16);
	assert_int_equal(rows_of(200, "{\"results\":[{\"columns\":[\"a\",\"b\"],\"types\":[\"\",\"\"],"
	    "\"values\":[[9223372036854775807,\"x\\u0000\\u20ac\"],[null,[0,255]],[-9007199254740993,[]]]}]}",
	    &a, &r, &retry), OK);
	assert_int_equal(r.nrows, 3);
	assert_int_equal(r.ncols, 2);
	assert_int_equal(store_int(&r, 0, 0), INT64_MAX);
	assert_true(str_eq(store_str(&r, 0, 1), STR("x\0\xe2\x82\xac")));
	assert_true(store_is_null(&r, 1, 0));
	assert_int_equal(store_at(&r, 1, 1)->type, STORE_BLOB);
	assert_true(str_eq(store_str(&r, 1, 1), STR("\0\xff")));
	assert_int_equal(store_int(&r, 2, 0), INT64_C(-9007199254740993));
	assert_true(store_at(&r, 2, 1)->type == STORE_BLOB && store_str(&r, 2, 1).n == 0);
	assert_int_equal(rows_of(200, "{\"results\":[{\"columns\":[\"a\"],\"types\":[\"\"]}]}", &a, &r,
	    &retry), OK);
	assert_true(r.nrows == 0 && r.ncols == 1);
	arena_release(&a);
}

static void what_is_no_row_is_refused(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum err err;
		bool retry;
	} bad[] = {
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[[1.5]]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[[true]]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[[[256]]]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[[[\"\"]]]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[[1,2]]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"columns\":[\"a\"],\"values\":[7]}]}", E_INTERNAL, false },
		{ 200, "{\"results\":[{\"error\":\"no such table: x\"}]}", E_SCHEMA, false },
		{ 200, "{\"results\":[]}", E_STORE_UNAVAILABLE, true },
		{ 200, "{\"error\":\"stale read\"}", E_STORE_UNAVAILABLE, true },
		{ 200, "nonsense", E_STORE_UNAVAILABLE, true },
		{ 503, "leader not found", E_STORE_UNAVAILABLE, true },
		{ 401, "", E_STORE_UNAVAILABLE, false },
		{ 400, "invalid JSON body", E_INTERNAL, false },
	};
	struct store_rows r;
	struct arena a;
	bool retry;

	(void)state;
	arena_init(&a, 1 << 16);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		enum err e = rows_of(bad[i].status, bad[i].body, &a, &r, &retry);

		if (e != bad[i].err || retry != bad[i].retry)
			fail_msg("%s: %s, retry %d", bad[i].body, err_code(e), retry);
	}
	arena_release(&a);
}

static void linearizable_is_known_by_version(void **state)
{
	static const struct {
		const char *version;
		bool has;
	} v[] = { { "v8.32.0", true }, { "8.33", true }, { "v9.0.0", true }, { "10.1", true },
		{ "v8.31.9", false }, { "8", false }, { "v8.26.8", false }, { "v7.99.0", false },
		{ "", false }, { "unknown", false }, { "v", false }, { "8.x", false } };

	(void)state;
	for (size_t i = 0; i < sizeof v / sizeof *v; i++)
		if (wire_has_linearizable(str_c(v[i].version)) != v[i].has)
			fail_msg("%s", v[i].version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_become_parameters_or_hex),
		cmocka_unit_test(a_wrong_number_of_values_is_a_fault),
		cmocka_unit_test(a_batch_has_its_op_id_and_guards),
		cmocka_unit_test(a_group_has_all_op_ids_and_one_of_its_own),
		cmocka_unit_test(a_single_in_a_group_hinders_nobody),
		cmocka_unit_test(every_answer_to_a_batch_has_its_meaning),
		cmocka_unit_test(rows_are_read_exactly),
		cmocka_unit_test(what_is_no_row_is_refused),
		cmocka_unit_test(linearizable_is_known_by_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
