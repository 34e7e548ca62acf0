/* The access log on its way through the log's thread: whole lines, in order, none lost at the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "obs/access_line.h"
#include "obs/obs.h"

#define LINES 500 /* less than what may wait, more than a page */

static void log_lines(struct obs *o, struct loop *l)
{
	struct obs_request r = { .status = 200, .method = STR("GET"), .path = STR("/a\"b"), .http_version = 1 };
	struct obs_worker *w;

	assert_int_equal(obs_worker_new(o, l, true, &w), OK);
	for (int i = 0; i < LINES; i++) {
		char id[16];

		snprintf(id, sizeof id, "n%d", i);
		r.correlation_id = str_c(id);
		obs_request_end(w, &r);
	}
	obs_worker_free(w);
}

static void check_lines(FILE *f)
{
	char line[1024], id[16];
	int n = 0;

	rewind(f);
	for (; fgets(line, sizeof line, f) != NULL; n++) {
		json_t *j = json_loads(line, 0, NULL);

		assert_non_null(j);
		snprintf(id, sizeof id, "n%d", n);
		assert_string_equal(json_string_value(json_object_get(j, "correlation_id")), id);
		assert_string_equal(json_string_value(json_object_get(j, "path")), "/a\"b");
		json_decref(j);
	}
	assert_int_equal(n, LINES);
}

static void test_all_lines_in_order(void **state)
{
	static const struct obs_route routes[2] = { { "op", "GET" }, { "none", "none" } };
	static const char *const methods[] = { "none" };
	int saved = dup(STDERR_FILENO);
	FILE *f = tmpfile();
	struct loop *l;
	struct obs *o;

	(void)state;
	assert_int_equal(loop_new(&l), OK);
	assert_int_equal(obs_new(&o, routes, 1, methods, 1), OK);
	dup2(fileno(f), STDERR_FILENO);
	log_lines(o, l);
	dup2(saved, STDERR_FILENO);
	close(saved);
	check_lines(f);
	fclose(f);
	obs_free(o);
	loop_free(l);
}

/* Whatever is not known of a request, its line is JSON. */
static void test_lines_of_requests_that_were_none(void **state)
{
	struct obs_request r = { .status = 400 };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (int i = 0; i < 4; i++) {
		json_t *j;

		r.method = (i & 1) != 0 ? STR("GET") : STR_NONE;
		r.path = (i & 2) != 0 ? STR("/") : STR_NONE;
		buf_clear(&b);
		access_line_json(&b, &r, "none");
		j = json_loadb(b.p, b.n, 0, NULL);
		assert_non_null(j);
		assert_string_equal(json_string_value(json_object_get(j, "op")), "none");
		assert_int_equal(json_integer_value(json_object_get(j, "status")), 400);
		json_decref(j);
	}
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_lines_in_order),
		cmocka_unit_test(test_lines_of_requests_that_were_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
