/* A batch from end to end without a node: rights and errors of each item, and what happens when memory
 * runs out at any moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "api/api.h"
#include "api/batch.h"
#include "authz/decision.h"
#include "base/heap.h"
#include "base/loop.h"
#include "iam/principal.h"
#include "proxy/proxy.h"
#include "obs/obs.h"

static const struct role_grant orders[] = { { { "command.submit", 14 }, { "order*", 6 } } };
static const struct role_def defs[] = { { .id = { "orders", 6 }, .grants = orders, .n = 1 } };
static struct principal_assignment member = { { "acme", 4 }, { "orders", 6 } };
static struct principal who = { .id_text = "w", .assignments = &member, .n = 1 };

struct house {
	struct loop *loop;
	struct obs *obs;
	struct obs_worker *worker;
	struct proxy *proxy;
	struct api *api;
};

static int open_house(void **state)
{
	static struct house h;
	static const struct obs_route routes[] = { { "a", "POST" }, { "none", "" } };
	static const char *const methods[] = { "none" };
	struct proxy_config pc = { .timeout_us = 60000000 };
	struct api_config c = { 0 };
	struct role_set *roles;

	assert_int_equal(loop_new(&h.loop), OK);
	assert_int_equal(obs_new(&h.obs, routes, 2, methods, 1), OK);
	assert_int_equal(obs_worker_new(h.obs, h.loop, false, &h.worker), OK);
	assert_int_equal(proxy_new(&pc, h.loop, NULL, h.worker, &h.proxy), OK);
	c.loop = h.loop;
	c.proxy = h.proxy;
	assert_int_equal(api_new(&c, &h.api), OK);
	assert_int_equal(role_set_new(defs, 1, &roles), OK);
	api_set_roles_take(h.api, roles);
	*state = &h;
	return 0;
}

static int close_house(void **state)
{
	struct house *h = *state;

	api_free(h->api);
	proxy_free(h->proxy);
	obs_worker_free(h->worker);
	obs_free(h->obs);
	loop_free(h->loop);
	return 0;
}

static unsigned responded;

static void respond(struct request *r)
{
	(void)r;
	responded++;
}

static const struct request_front front = { .respond = respond };

static void prepare(struct request *r, struct house *h, const char *body)
{
	request_init(r);
	r->front = &front;
	r->loop = h->loop;
	r->api = h->api;
	r->auth.principal = &who;
	r->tenant = STR("acme");
	r->correlation_id = STR("c");
	assert_int_equal(request_add_header(r, STR("x-tenant-id"), STR("acme")), OK);
	assert_int_equal(buf_addz(&r->body, body), OK);
	responded = 0;
}

static void done(struct request *r)
{
	assert_int_equal(responded, 1);
	request_finish(r);
	request_release(r);
}

static const char items[] = "{\"items\":["
    "{\"aggregate_type\":\"order\",\"aggregate_id\":\"1\",\"command_type\":\"t\",\"payload\":1},"
    "{\"aggregate_type\":\"bill\",\"aggregate_id\":\"1\",\"command_type\":\"t\",\"payload\":1},"
    "{\"aggregate_type\":\"order-line\",\"aggregate_id\":\"1\",\"command_type\":2,\"payload\":1},"
    "{\"aggregate_id\":\"1\"}]}";
static const int statuses[] = { 503, 403, 400, 400 };

static void check(struct str answer)
{
	const char *at = answer.p;

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		at = memmem(at, (size_t)(answer.p + answer.n - at), "{\"status\":", 10);
		assert_non_null(at);
		at += 10;
		assert_int_equal(atoi(at), statuses[i]);
	}
	assert_null(memmem(at, (size_t)(answer.p + answer.n - at), "{\"status\":", 10));
}

static void items_are_decided_one_by_one(void **state)
{
	struct request r;

	prepare(&r, *state, items);
	step_done(op_command_batch(((struct house *)*state)->api, &r));
	assert_int_equal(r.reply.status, 200);
	check(r.reply.body);
	done(&r);
}

static void memory_runs_out(void **state)
{
	bool failed = true;

	for (long n = 1; failed; n++) {
		struct request r;

		prepare(&r, *state, items);
		heap_fail_after(n);
		step_done(op_command_batch(((struct house *)*state)->api, &r));
		failed = heap_fail_after(0);
		assert_true(r.reply.status == 200 || r.reply.err == E_NOMEM);
		assert_true(failed || r.reply.status == 200);
		done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_decided_one_by_one),
		cmocka_unit_test(memory_runs_out),
	};

	return cmocka_run_group_tests(tests, open_house, close_house);
}
