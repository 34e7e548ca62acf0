#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

#include "api/body.h"
#include "api/etag.h"
#include "api/page.h"
#include "request/request.h"

struct sample {
	struct body_str name, color, secret;
	struct body_int count, at;
	struct body_bool flag;
	struct body_id id;
	struct body_json list;
};
static const char *const colors[] = { "red", "green", NULL };
static bool no_x(struct str s)
{
	return memchr(s.p, 'x', s.n) == NULL;
}
static const struct body_field fields[] = {
	{ "name", BODY_T_STR, BODY_REQUIRED, offsetof(struct sample, name), 2, 5, .check = no_x,
	  .rule = "must not have an x" },
	{ "color", BODY_T_STR, BODY_NULLABLE, offsetof(struct sample, color), 0, 10, .words = colors },
	{ "secret", BODY_T_STR, BODY_SECRET, offsetof(struct sample, secret), 0, 100 },
	{ "count", BODY_T_INT, 0, offsetof(struct sample, count), 1, 9 },
	{ "at", BODY_T_TIME, 0, offsetof(struct sample, at) },
	{ "flag", BODY_T_BOOL, 0, offsetof(struct sample, flag) },
	{ "id", BODY_T_ID, 0, offsetof(struct sample, id) },
	{ "list", BODY_T_ARRAY, 0, offsetof(struct sample, list), 1, 2 },
	{ NULL },
};

static int set_up(void **state)
{
	static struct request r;

	request_init(&r);
	*state = &r;
	return 0;
}

/* What request_finish does, without the front and the metrics around it. */
static void end(struct request *r)
{
	while (r->cleanups != NULL) {
		struct request_cleanup *c = r->cleanups;

		r->cleanups = c->next;
		c->cb(c->arg);
	}
}

static int tear_down(void **state)
{
	end(*state);
	request_release(*state);
	return 0;
}

static enum err parse(struct request *r, const char *text, struct sample *out, struct fail *f)
{
	buf_clear(&r->body);
	assert_int_equal(buf_addz(&r->body, text), OK);
	return body_read(r, fields, out, sizeof *out, f);
}

static void reads_every_type(void **state)
{
	struct request *r = *state;
	struct sample s;

	assert_int_equal(parse(r, "{\"name\":\"ab\",\"color\":null,\"count\":9,\"flag\":true,"
	    "\"at\":\"1970-01-01T00:00:01Z\",\"id\":\"01a1fba7-f8da-76f4-8dba-d23855fb21e7\","
	    "\"list\":[1,{}]}", &s, NULL), OK);
	assert_true(str_eq(s.name.v, STR("ab")));
	assert_true(s.color.set && s.color.v.p == NULL);
	assert_false(s.secret.set);
	assert_int_equal(s.count.v, 9);
	assert_int_equal(s.at.v, 1000000);
	assert_true(s.flag.set && s.flag.v);
	assert_true(s.id.set && s.id.v.b[15] == 0xe7);
	assert_int_equal(json_array_size(s.list.v), 2);
}

static void names_what_is_wrong(void **state)
{
	static const struct {
		const char *text;
		enum err e;
		const char *field;
	} cases[] = {
		{ "{}", E_INVALID_FIELD, "name" },
		{ "", E_INVALID_FIELD, "name" },
		{ "{\"name\":null}", E_INVALID_FIELD, "name" },
		{ "{\"name\":7}", E_INVALID_FIELD, "name" },
		{ "{\"name\":\"a\"}", E_INVALID_FIELD, "name" },
		{ "{\"name\":\"abcdef\"}", E_INVALID_FIELD, "name" },
		{ "{\"name\":\"axb\"}", E_INVALID_FIELD, "name" },
		{ "{\"name\":\"ab\",\"color\":\"blue\"}", E_INVALID_FIELD, "color" },
		{ "{\"name\":\"ab\",\"count\":0}", E_INVALID_FIELD, "count" },
		{ "{\"name\":\"ab\",\"count\":10}", E_INVALID_FIELD, "count" },
		{ "{\"name\":\"ab\",\"count\":1.5}", E_INVALID_FIELD, "count" },
		{ "{\"name\":\"ab\",\"flag\":1}", E_INVALID_FIELD, "flag" },
		{ "{\"name\":\"ab\",\"id\":\"x\"}", E_INVALID_FIELD, "id" },
		{ "{\"name\":\"ab\",\"at\":\"today\"}", E_INVALID_FIELD, "at" },
		{ "{\"name\":\"ab\",\"list\":[]}", E_INVALID_FIELD, "list" },
		{ "{\"name\":\"ab\",\"list\":[1,2,3]}", E_INVALID_FIELD, "list" },
		{ "{\"name\":\"ab\",\"Name\":\"ab\"}", E_UNKNOWN_FIELD, "Name" },
		{ "{\"name\":\"ab\",\"name\":\"ab\"}", E_BAD_JSON, NULL },
		{ "{\"name\":\"ab\"} x", E_BAD_JSON, NULL },
		{ "[]", E_BAD_JSON, NULL },
		{ "{\"name\":\"a\xff\"}", E_BAD_JSON, NULL },
		{ "{\"name\":\"a\\u0000b\"}", E_BAD_JSON, NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fail f = { 0 };
		struct sample s;
		enum err e = parse(*state, cases[i].text, &s, &f);

		if (e != cases[i].e)
			fail_msg("%s: %s, not %s", cases[i].text, err_code(e), err_code(cases[i].e));
		if (cases[i].field != NULL)
			assert_string_equal(json_string_value(json_object_get(f.details, "field")),
			    cases[i].field);
		fail_clear(&f);
	}
}

static void depth_is_bounded(void **state)
{
	char text[512] = "{\"name\":\"ab\",\"list\":";
	struct fail f = { 0 };
	struct sample s;

	assert_int_equal(parse(*state, "{\"name\":\"canary", &s, &f), E_BAD_JSON);
	assert_null(strstr(fail_text(&f), "canary")); /* it may be a secret */
	assert_non_null(strstr(fail_text(&f), "line 1 column"));
	fail_clear(&f);
	memset(text + strlen(text), '[', 40);
	assert_int_equal(parse(*state, text, &s, &f), E_BAD_JSON);
	assert_non_null(strstr(f.text, "nested"));
	fail_clear(&f);
	/* brackets inside of a string are none */
	assert_int_equal(parse(*state, "{\"name\":\"ab\",\"secret\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
	    "\\\"[[[[[[\"}", &s, NULL), OK);
}

static void secrets_are_wiped(void **state)
{
	struct request *r = *state;
	struct sample s;

	assert_int_equal(parse(r, "{\"name\":\"ab\",\"secret\":\"hunter2\"}", &s, NULL), OK);
	assert_true(str_eq(s.secret.v, STR("hunter2")));
	assert_null(memmem(r->body.p, r->body.n, "hunter2", 7));
}

static void header(struct request *r, const char *name, const char *value)
{
	assert_int_equal(request_add_header(r, str_c(name), str_c(value)), OK);
}

static void if_match(void **state)
{
	struct request *r = *state;
	unsigned tries = 0;

	assert_int_equal(etag_check(r, 3, NULL), OK);
	assert_true(etag_again(r, E_PRECONDITION_FAILED, &tries, NULL));
	assert_false(etag_again(r, E_CONFLICT, &tries, NULL));
	header(r, "If-Match", "\"v1\", \"v3\"");
	assert_int_equal(etag_check(r, 3, NULL), OK);
	assert_int_equal(etag_check(r, 2, NULL), E_PRECONDITION_FAILED);
	assert_false(etag_again(r, E_PRECONDITION_FAILED, &tries, NULL));
}

static void if_match_weak_is_no_match(void **state)
{
	header(*state, "If-Match", "W/\"v3\"");
	assert_int_equal(etag_check(*state, 3, NULL), E_PRECONDITION_FAILED);
}

static void pages(void **state)
{
	struct request *r = *state;
	struct page p;

	assert_int_equal(page_read(r, true, &p, NULL), OK);
	assert_int_equal(p.size, PAGE_SIZE);
	assert_false(p.has_id);
	r->query = STR("page_size=500&page_token=AAAAAAAAAAAAAAAAAAAAAA");
	assert_int_equal(page_read(r, true, &p, NULL), OK);
	assert_int_equal(page_limit(&p), 501);
	assert_true(p.has_id);
	r->query = STR("page_token=AAAA");
	assert_int_equal(page_read(r, true, &p, NULL), E_INVALID_PARAMETER);
	assert_int_equal(page_read(r, false, &p, NULL), E_INVALID_PARAMETER); /* NUL is no text */
	r->query = STR("page_token=YWNtZQ");
	assert_int_equal(page_read(r, false, &p, NULL), OK);
	assert_true(str_eq(p.after, STR("acme")));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(reads_every_type), T(names_what_is_wrong), T(depth_is_bounded), T(secrets_are_wiped),
		T(if_match), T(if_match_weak_is_no_match), T(pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
