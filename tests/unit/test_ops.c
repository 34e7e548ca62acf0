/* The operation table holds together, nothing in it is unguarded by accident, and a path finds its
 * row. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/match.h"
#include "api/resource.h"
#include "authz/decision.h"
#include "base/arena.h"
#include "request/op.h"

/* Everything that anybody may call. A new row that is open to all has to be named here too. */
static const char *const open_ops[] = {
	"health", "ready", "metrics", "jwks", "auth.signup", "auth.verify", "auth.signin",
	"auth.mfa.verify", "auth.refresh", "auth.forgot", "auth.reset", "auth.oidc.start",
	"auth.oidc.callback", "auth.oidc.finish", "grpc.health.check", "grpc.health.watch", "grpc.reflection.v1",
	"grpc.reflection.v1alpha", NULL,
};

static bool listed(const char *const *list, const char *name)
{
	while (*list != NULL && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

static void rows_are_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops_all[i];

		print_message("%s\n", op->name);
		assert_non_null(op->help);
		assert_true(op->on != 0 && (op->on & ~(unsigned)ON_EVERY) == 0);
		assert_true((op->lane == LANE_DATA) == (op->run != NULL));
		assert_true((op->lane == LANE_CONTROL) == (op->control != NULL));
		assert_true((op->tenant == TENANT_SCOPE) == (op->scope != NULL));
		assert_true(op->tenant != TENANT_SCOPE || op->lane == LANE_CONTROL);
		assert_in_range(op->status, 200, 399);
		/* the front hands on messages at once: nobody may be asked for credentials first */
		assert_true(!op->stream || (op->body == BODY_GRPC && op->lane == LANE_DATA &&
		    op->who == WHO_ALL && op->on == ON_GRPC));
		/* the kind of resource can do what the row says */
		assert_true(op->control != op_resource_list || op->of->list != NULL);
		assert_true(op->control != op_resource_get || op->of->find != NULL);
		assert_true(op->control != op_resource_change || (op->of->find != NULL &&
		    op->of->edit != NULL && op->of->change != NULL && op->of->change_size > 0));
		assert_true(op->control != op_resource_delete || (op->of->find != NULL &&
		    op->of->remove != NULL));
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(op->name, ops_all[k].name);
			assert_false(op->method == ops_all[k].method && (op->on & ops_all[k].on) &&
			    strcmp(op->path, ops_all[k].path) == 0);
		}
	}
}

static void nothing_is_unguarded(void **state)
{
	(void)state;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops_all[i];

		print_message("%s\n", op->name);
		if (op->who == WHO_ALL)
			assert_true(listed(open_ops, op->name));
		if (op->who == WHO_RIGHT)
			assert_true(op->right != NULL && right_is_known(str_c(op->right)));
		else
			assert_null(op->right);
		if (strncmp(op->path, "/admin", 6) == 0) {
			assert_true(op->who == WHO_RIGHT || op->who == WHO_ANY);
			assert_int_equal(op->on, ON_ADMIN);
		}
		if (op->mutates)
			assert_int_not_equal(op->method, M_GET);
		/* only what everybody may read may be kept by anybody */
		if (op->cache != NULL)
			assert_true(op->lane == LANE_CONTROL && op->who == WHO_ALL && op->method == M_GET);
	}
}

struct row {
	unsigned on;
	const char *method, *path;
	enum err e;
	const char *op, *p0, *p1;
};

static void paths(void **state)
{
	static const struct row rows[] = {
		{ ON_HTTP, "POST", "/v1/query/orders", OK, "query.execute", "orders", NULL },
		{ ON_HTTP, "POST", "/v1/commands/order/o-1", OK, "command.submit", "order", "o-1" },
		{ ON_HTTP, "POST", "/v1/commands/order/a%2Fb", OK, "command.submit", "order", "a/b" },
		{ ON_HTTP, "POST", "/v1/commands/order/g%C3%BC", OK, "command.submit", "order", "g\xc3\xbc" },
		{ ON_HTTP, "GET", "/health", OK, "health", NULL, NULL },
		{ ON_HTTP, "HEAD", "/health", OK, "health", NULL, NULL },
		{ ON_ADMIN, "GET", "/admin/runner/jobs/7", OK, "runner.admin.get", "jobs/7", NULL },
		{ ON_HTTP, "GET", "/v1/query/orders", E_METHOD_NOT_ALLOWED, NULL, NULL, NULL },
		{ ON_HTTP, "BREW", "/v1/query/orders", E_METHOD_NOT_ALLOWED, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/a/b", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1//query/a", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1%2Fquery/a", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "GET", "/metrics", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "GET", "/admin/users", E_NOT_FOUND, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/%2e%2e", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/x/../query/a", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/./query/a", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/a%00b", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/a%4", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/a%zz", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "POST", "/v1/query/%ff", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_ADMIN, "GET", "/admin/runner/../users", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_ADMIN, "GET", "/admin/runner/%2e%2e/users", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "GET", "*", E_BAD_REQUEST, NULL, NULL, NULL },
		{ ON_HTTP, "GET", "", E_BAD_REQUEST, NULL, NULL, NULL },
	};
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *r = &rows[i];
		struct match m;

		print_message("%s %s\n", r->method, r->path);
		assert_int_equal(match_op(r->on, str_c(r->method), str_c(r->path), &a, &m), r->e);
		if (r->op != NULL)
			assert_string_equal(m.op->name, r->op);
		if (r->p0 != NULL)
			assert_true(str_eqc(m.param[0], r->p0));
		if (r->p1 != NULL)
			assert_true(str_eqc(m.param[1], r->p1));
	}
	arena_release(&a);
}

static void allow_names_the_methods(void **state)
{
	struct arena a;
	struct match m;

	(void)state;
	arena_init(&a, 1 << 16);
	assert_int_equal(match_op(ON_HTTP, STR("DELETE"), STR("/health"), &a, &m),
	    E_METHOD_NOT_ALLOWED);
	assert_true(str_eq(match_allow(m.allow, &a), STR("GET, HEAD, OPTIONS")));
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_complete),
		cmocka_unit_test(nothing_is_unguarded),
		cmocka_unit_test(paths),
		cmocka_unit_test(allow_names_the_methods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
