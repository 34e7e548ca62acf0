/* The record of a mutating request that did not commit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/api.h"
#include "api/audit_note.h"
#include "api/ctl.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/loop.h"
#include "iam/audit.h"
#include "iam/principal.h"
#include "iam_fixture.h"
#include "request/op.h"

struct noted {
	struct ctl ctl;
	struct loop *loop;
	struct api *api;
	struct principal caller;
	struct request r;
};

static const struct op *op_named(const char *name)
{
	const struct op *op = ops_all;

	while (strcmp(op->name, name) != 0)
		op++;
	return op;
}

static void begin(struct noted *t, struct iam *iam, const char *op)
{
	static const struct id replica = { { 1 } };
	struct api_config c = { .ctl = &t->ctl };

	*t = (struct noted){ .ctl.store = iam->x.store, .caller.id = { { 2 } } };
	assert_int_equal(audit_new(iam->x.store, replica, &t->ctl.audit), OK);
	assert_int_equal(loop_new(&t->loop), OK);
	assert_int_equal(api_new(&c, &t->api), OK);
	request_init(&t->r);
	t->r.api = t->api;
	t->r.loop = t->loop;
	t->r.op = op_named(op);
	t->r.auth.principal = &t->caller;
	t->r.correlation_id = STR("c");
}

static void end(struct noted *t)
{
	request_finish(&t->r);
	audit_free(t->ctl.audit);
	request_release(&t->r);
	api_free(t->api);
	loop_free(t->loop);
}

static void a_refusal_leaves_one_record(void **state)
{
	struct noted t;

	begin(&t, *state, "tenants.delete");
	assert_int_equal(audit_watch(&t.r, NULL), OK);
	t.r.reply.err = E_FORBIDDEN;
	end(&t);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit"), 1);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit WHERE outcome = 'forbidden' AND"
	    " action = 'tenants.delete'"), 1);
}

/* Nothing may be said of the end before it is there, and it must be said then, whatever there was no memory
 * for meanwhile. */
static void no_memory_is_no_success(void **state)
{
	struct noted t;

	begin(&t, *state, "tenants.delete");
	heap_fail_after(1);
	assert_int_equal(audit_watch(&t.r, NULL), OK);
	heap_fail_after(0);
	assert_true(audit_flush(t.ctl.audit, 60 * CLOCK_SEC));
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit"), 0);
	t.r.reply.err = E_NOMEM;
	end(&t);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit"), 1);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit WHERE outcome = 'ok'"), 0);
}

static void what_has_its_record_leaves_no_other(void **state)
{
	struct noted t;

	begin(&t, *state, "tenants.delete");
	assert_int_equal(audit_watch(&t.r, NULL), OK);
	t.r.audited = true;
	end(&t);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit"), 0);
}

static void reading_leaves_none(void **state)
{
	struct noted t;

	begin(&t, *state, "tenants.get");
	assert_int_equal(audit_watch(&t.r, NULL), OK);
	t.r.reply.err = E_FORBIDDEN;
	end(&t);
	assert_int_equal(iam_count(*state, "SELECT count(*) FROM audit"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_refusal_leaves_one_record, iam_setup, iam_teardown),
		cmocka_unit_test_setup_teardown(no_memory_is_no_success, iam_setup, iam_teardown),
		cmocka_unit_test_setup_teardown(what_has_its_record_leaves_no_other, iam_setup, iam_teardown),
		cmocka_unit_test_setup_teardown(reading_leaves_none, iam_setup, iam_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
