/* Items of a batch become requests of the single operations, and their answers results. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/batch_item.h"
#include "request/request.h"

struct item {
	const char *raw;
	enum err e;
	const char *p0, *p1, *body;
};

static void same(const char *want, struct str got)
{
	if (want == NULL) {
		assert_null(got.p);
		return;
	}
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
}

static void check(enum err (*read)(struct request *, struct str, struct fail *), const struct item *i)
{
	struct request r;
	struct fail f = { 0 };

	print_message("%s\n", i->raw);
	request_init(&r);
	assert_int_equal(read(&r, str_c(i->raw), &f), i->e);
	assert_int_equal(f.err, i->e);
	if (i->e == OK) {
		same(i->p0, r.param[0]);
		same(i->p1, r.param[1]);
		same(i->body, buf_str(&r.body));
	}
	request_release(&r);
}

static void commands(void **state)
{
	static const struct item rows[] = {
		{ "{\"aggregate_type\":\"a\",\"aggregate_id\":\"b\"}", OK, "a", "b", "{}" },
		{ "{ \"payload\" : { \"n\" : 1.0 } ,\"aggregate_id\":\"b\\u00e9\", \"aggregate_type\":\"a/\","
		  "\"x\":1}", OK, "a/", "b\xc3\xa9", "{\"payload\":{ \"n\" : 1.0 },\"x\":1}" },
		{ "{\"aggregat\\u0065_type\":\"a\",\"aggregate_id\":\"b\"}", OK, "a", "b", "{}" },
		{ "{\"aggregate_type\":\"a\"}", E_INVALID_FIELD },
		{ "{\"aggregate_id\":\"a\"}", E_INVALID_FIELD },
		{ "{\"aggregate_type\":\"a\",\"aggregate_id\":\"\"}", E_INVALID_FIELD },
		{ "{\"aggregate_type\":\"..\",\"aggregate_id\":\"b\"}", E_INVALID_FIELD },
		{ "{\"aggregate_type\":1,\"aggregate_id\":\"b\"}", E_INVALID_FIELD },
		{ "{\"aggregate_type\":\"a\",\"aggregate_type\":\"a\",\"aggregate_id\":\"b\"}", E_BAD_JSON },
		{ "[]", E_INVALID_FIELD },
		{ "null", E_INVALID_FIELD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(batch_command_read, &rows[i]);
}

static void queries(void **state)
{
	static const struct item rows[] = {
		{ "{\"view_type\":\"v\"}", OK, "v", NULL, "{}" },
		{ "{\"view_type\":\"v\",\"query\":[ 1 ]}", OK, "v", NULL, "[ 1 ]" },
		{ "{\"query\":null,\"view_type\":\"v\"}", OK, "v", NULL, "null" },
		{ "{\"view_type\":\"v\",\"query\":1,\"query\":1}", E_BAD_JSON },
		{ "{\"view_type\":\"v\",\"other\":1}", E_UNKNOWN_FIELD },
		{ "{\"query\":1}", E_INVALID_FIELD },
		{ "\"v\"", E_INVALID_FIELD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check(batch_query_read, &rows[i]);
}

static void write_result(int status, const char *body, size_t *room, const char *want)
{
	struct request r;
	struct buf out;

	request_init(&r);
	buf_init(&out, 4096);
	r.reply.status = status;
	r.reply.body = str_c(body);
	r.correlation_id = STR("c");
	assert_int_equal(batch_result_write(&r, room, &out), OK);
	same(want, buf_str(&out));
	buf_release(&out);
	request_release(&r);
}

static void results(void **state)
{
	size_t room = 20;

	(void)state;
	write_result(200, "{ \"a\" : 1 }", &room, "{\"status\":200,\"body\":{ \"a\" : 1 }}");
	assert_int_equal(room, 9);
	write_result(204, NULL, &room, "{\"status\":204,\"body\":null}");
	write_result(418, "[1]", &room, "{\"status\":418,\"body\":[1]}");
	assert_int_equal(room, 6);
	write_result(200, "1 2", &room, "{\"status\":502,\"code\":\"bad_upstream\",\"error\":"
	    "\"the node answered with something that is not valid\",\"details\":{},\"request_id\":\"c\"}");
	write_result(200, "\"\xff\"", &room, "{\"status\":502,\"code\":\"bad_upstream\",\"error\":"
	    "\"the node answered with something that is not valid\",\"details\":{},\"request_id\":\"c\"}");
	assert_int_equal(room, 6);
	write_result(200, "1234567", &room, "{\"status\":502,\"code\":\"answer_too_large\",\"error\":"
	    "\"the answer of the node is larger than the gateway takes\",\"details\":{},"
	    "\"request_id\":\"c\"}");
	write_result(200, "123456", &room, "{\"status\":200,\"body\":123456}");
	assert_int_equal(room, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands),
		cmocka_unit_test(queries),
		cmocka_unit_test(results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
