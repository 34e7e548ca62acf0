/* What proxying decides without a node: paths, statuses, which fields pass. The way to real nodes and back
 * is tested end to end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/grpc_status.h"
#include "proxy/node_headers.h"
#include "proxy/path.h"

static void joins_paths(void **state)
{
	static const struct {
		const char *first, *second, *path;
	} rows[] = {
		{ "orders", "", "/v1/x/orders" },
		{ "order", "1", "/v1/x/order/1" },
		{ "a b", "c/d", "/v1/x/a%20b/c%2Fd" },
		{ "..", "?#%", "/v1/x/../%3F%23%25" }, /* a name of dots is refused when it is matched */
		{ "\xc3\xa9~-_.", "\n", "/v1/x/%C3%A9~-_./%0A" },
	};
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 16);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_true(str_eqc(path_join(&a, STR("/v1/x"), str_c(rows[i].first), str_c(rows[i].second)),
		    rows[i].path));
	arena_release(&a);
}

static void knows_devious_paths(void **state)
{
	static const char *const honest[] = { "/a", "/a/b.c", "/...", "/a..b/c", "/%41/..b" };
	static const char *const devious[] = { "", "a", "/..", "/.", "/a/..", "/a/../b", "/%2e%2E/x", "/.%2e",
		"/a//b", "//", "/", "/a/", "/a%2fb", "/a%2Fb", "/a%5cb", "/%00" };

	(void)state;
	for (size_t i = 0; i < sizeof honest / sizeof *honest; i++)
		if (path_is_devious(str_c(honest[i])))
			fail_msg("refused: %s", honest[i]);
	for (size_t i = 0; i < sizeof devious / sizeof *devious; i++)
		if (!path_is_devious(str_c(devious[i])))
			fail_msg("passed: %s", devious[i]);
}

static void maps_statuses(void **state)
{
	(void)state;
	assert_int_equal(grpc_status_err(3, false), E_BAD_REQUEST);
	assert_int_equal(grpc_status_err(9, false), E_CONFLICT);
	assert_int_equal(grpc_status_err(9, true), E_VERSION_CONFLICT);
	assert_int_equal(grpc_status_err(10, true), E_VERSION_CONFLICT);
	assert_int_equal(grpc_status_err(14, true), E_NODE_UNAVAILABLE);
	assert_int_equal(grpc_status_err(17, false), E_NODE_FAILED);
	assert_int_equal(grpc_status_err(-1, false), E_NODE_FAILED);
	for (int i = 1; i <= 16; i++)
		assert_true(err_info(grpc_status_err(i, false))->http >= 400);
}

static void lets_safe_fields_back(void **state)
{
	static const char *const safe[] = { "etag", "cache-control", "retry-after", "x-total", "location" };
	static const char *const kept[] = { "set-cookie", "server", "date", "x-auth-user-id", "x-tenant-id",
		"x-correlation-id", "x-accel-redirect", "x-forwarded-for", "access-control-allow-origin",
		"strict-transport-security", "traceparent", "www-authenticate" };

	(void)state;
	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		assert_true(node_header_is_safe(str_c(safe[i])));
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		assert_false(node_header_is_safe(str_c(kept[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joins_paths), cmocka_unit_test(knows_devious_paths),
		cmocka_unit_test(maps_statuses), cmocka_unit_test(lets_safe_fields_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
