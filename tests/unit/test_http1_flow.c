/* The answer that comes as a flow, on its way to an HTTP/1.1 client: how long it keeps the worker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/http1_conn.h"
#include "request/flow.h"

#define PIECE 16

/* A node that always has more. */
static void give_more(struct flow *f, void *arg, size_t n)
{
	(void)arg;
	(void)n;
	assert_int_equal(flow_give(f, STR("sixteen bytes ..")), OK);
}

static void gives_others_their_turn(void **state)
{
	struct http1 h = { 0 };
	struct http1_conn c = { .h = &h, .writable = true };
	struct buf none;
	struct flow f;
	uint64_t taken = 0;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	buf_init(&none, PIECE);
	flow_init_take(&f, FLOW_LENGTH_UNKNOWN, &none);
	f.room = give_more;
	give_more(&f, NULL, 0);
	c.wire.fd = pair[0];
	while (c.writable) { /* until nobody reads what is written */
		assert_false(http1_write_flow(&c, &f));
		assert_false(c.over);
		assert_in_range(f.taken - taken, 0, 32 * PIECE);
		assert_true(c.is_dirty || !c.writable); /* it will be driven again */
		taken = f.taken;
	}
	assert_true(taken > 100 * PIECE);
	flow_release(&f);
	close(pair[0]), close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_others_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
