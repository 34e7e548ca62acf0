/* Bodies on their way: what is given is taken, in any pieces, framed or not; and the giver is told when to
 * pause. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/heap.h"
#include "request/chunked.h"
#include "request/flow.h"

static unsigned mores;
static size_t room;

static void more_cb(struct flow *f, void *arg)
{
	(void)f;
	(void)arg;
	mores++;
}

static void room_cb(struct flow *f, void *arg, size_t n)
{
	(void)f;
	(void)arg;
	room += n;
}

static void start(struct flow *f)
{
	struct buf first;

	buf_init(&first, 1 << 20);
	assert_int_equal(buf_adds(&first, STR("first ")), OK);
	flow_init_take(f, FLOW_LENGTH_UNKNOWN, &first);
	assert_null(first.p);
	assert_int_equal(first.max, 1 << 20);
	f->more = more_cb;
	f->room = room_cb;
	mores = 0;
	room = 0;
}

static void test_give_and_take(void **state)
{
	static char block[FLOW_FULL];
	struct flow f;

	(void)state;
	start(&f);
	assert_true(str_eq(flow_held(&f), STR("first ")));
	assert_false(flow_full(&f));
	assert_int_equal(flow_give(&f, str_n(block, sizeof block)), OK);
	assert_int_equal(mores, 1);
	assert_true(flow_full(&f));
	flow_take(&f, 7);
	assert_int_equal(room, 7);
	assert_false(flow_full(&f));
	flow_end(&f);
	assert_int_equal(mores, 2);
	assert_false(flow_done(&f));
	flow_fail(&f, E_NOMEM); /* too late */
	assert_int_equal(f.err, OK);
	flow_take(&f, sizeof block - 1);
	assert_true(flow_done(&f));
	assert_true(f.given == f.taken && f.given == 6 + sizeof block);
	flow_release(&f);
}

/* However much passes, little is held. */
static void test_bounded(void **state)
{
	static char block[1000];
	struct flow f;

	(void)state;
	start(&f);
	flow_take(&f, 6);
	for (int i = 0; i < 100000; i++) {
		while (!flow_full(&f))
			assert_int_equal(flow_give(&f, str_n(block, sizeof block)), OK);
		flow_take(&f, 999);
	}
	assert_true(f.held.cap <= 4 * FLOW_FULL);
	flow_release(&f);
}

static void test_failure(void **state)
{
	static char block[70000];
	struct flow f;

	(void)state;
	start(&f);
	flow_fail(&f, E_REQUEST_TIMEOUT);
	flow_fail(&f, E_NOMEM);
	assert_int_equal(f.err, E_REQUEST_TIMEOUT);
	assert_int_equal(mores, 1);
	assert_false(flow_done(&f));
	heap_fail_after(1);
	assert_int_equal(flow_give(&f, str_n("", 0)), OK);
	assert_int_equal(flow_give(&f, str_n(block, sizeof block)), E_NOMEM);
	heap_fail_after(0);
	flow_release(&f);
}

/* What a writer writes in pieces of any size, a reader of chunks reads. */
static void pass(bool chunked, unsigned seed)
{
	struct flow_writer w = { .chunked = chunked };
	struct chunked c = { 0 };
	struct buf wire, got;
	struct flow f;
	size_t used = 0, given = 6, at = 0;
	char byte = 'a';

	start(&f);
	buf_init(&wire, 1 << 20);
	buf_init(&got, 1 << 20);
	srand(seed);
	while (!flow_writer_done(&w, &f)) {
		struct iovec iov[2];
		int n = rand() % 3 > 0 ? flow_writer_next(&w, &f, iov) : 0;

		if (n > 0) {
			size_t most = iov[0].iov_len + (n > 1 ? iov[1].iov_len : 0);
			size_t k = (size_t)rand() % (most + 1), first = k < iov[0].iov_len ? k : iov[0].iov_len;

			buf_add(&wire, iov[0].iov_base, first);
			if (n > 1)
				buf_add(&wire, iov[1].iov_base, k - first);
			flow_writer_wrote(&w, &f, k);
		} else if (given < 2000) {
			char some[50];
			size_t k = (size_t)rand() % sizeof some;

			for (size_t i = 0; i < k; i++)
				some[i] = (char)('a' + (given + i) % 26);
			assert_int_equal(flow_give(&f, str_n(some, k)), OK);
			given += k;
		} else if (!f.ended) {
			flow_end(&f);
		}
	}
	assert_int_equal(flow_writer_next(&w, &f, (struct iovec[2]){ { NULL, 0 } }), 0);
	if (chunked) {
		enum chunked_step step;
		struct str data;

		while ((step = chunked_read(&c, wire.p + at, wire.n - at, &used, &data)) == CHUNKED_DATA) {
			buf_adds(&got, data);
			at += used;
		}
		assert_int_equal(step, CHUNKED_DONE);
		assert_int_equal(at + used, wire.n);
	} else {
		buf_adds(&got, buf_str(&wire));
	}
	assert_int_equal(got.n, given);
	assert_memory_equal(got.p, "first ", 6);
	for (size_t i = 6; i < got.n; i++) {
		byte = (char)('a' + i % 26);
		assert_int_equal(got.p[i], byte);
	}
	buf_release(&wire);
	buf_release(&got);
	flow_release(&f);
}

static void test_writer(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed < 300; seed++) {
		pass(true, seed);
		pass(false, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_give_and_take),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
