/* Connections that one worker's listener accepts go to the worker that has the fewest. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "front/crew.h"
#include "front/front.h"
#include "front/listener.h"

#define WORKERS 3

static struct {
	struct loop *loop;
	struct listener listener;
	int fds[16];
	size_t n;
} workers[WORKERS];
static struct crew *crew;
static const struct sockaddr_storage peer = { .ss_family = AF_INET };

static void accepted_cb(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	for (size_t i = 0; i < WORKERS; i++)
		if (l == &workers[i].listener)
			workers[i].fds[workers[i].n++] = fd;
	assert_int_equal(from->ss_family, AF_INET);
}

static int up(void **state)
{
	struct sockaddr_storage bound;
	struct fail f = { 0 };
	int fd;

	(void)state;
	memset(workers, 0, sizeof workers);
	assert_int_equal(crew_new(WORKERS, &crew), OK);
	for (size_t i = 0; i < WORKERS; i++) {
		assert_int_equal(loop_new(&workers[i].loop), OK);
		assert_int_equal(front_bind("127.0.0.1:0", &fd, &bound, &f), OK);
		assert_int_equal(listener_open(&workers[i].listener, workers[i].loop, fd, crew, accepted_cb), OK);
	}
	return 0;
}

static int down(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORKERS; i++) {
		listener_close(&workers[i].listener);
		while (workers[i].n > 0)
			close(workers[i].fds[--workers[i].n]);
		loop_free(workers[i].loop);
	}
	crew_free(crew);
	return 0;
}

/* What listener.c does with a connection that worker i has accepted. */
static void accepts(size_t i)
{
	struct listener *l = &workers[i].listener;
	int fd = dup(STDERR_FILENO);

	if (!crew_pass(crew, l->seat, fd, &peer))
		l->accepted(l, fd, &peer);
	for (size_t k = 0; k < WORKERS; k++)
		loop_drain(workers[k].loop);
}

static void test_even(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++)
		accepts(1);
	for (size_t i = 0; i < WORKERS; i++)
		assert_int_equal(workers[i].n, 3);
}

static void test_between_equals_it_stays(void **state)
{
	(void)state;
	accepts(2);
	assert_int_equal(workers[2].n, 1);
}

static void test_who_left_makes_room(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++)
		accepts(0);
	listener_left(&workers[2].listener);
	listener_left(&workers[2].listener);
	accepts(0);
	accepts(1);
	assert_int_equal(workers[2].n, 4);
}

static void test_closed_gets_none(void **state)
{
	int fd = dup(STDERR_FILENO);

	(void)state;
	accepts(0);
	listener_close(&workers[1].listener);
	listener_close(&workers[2].listener);
	accepts(0);
	assert_int_equal(workers[0].n, 2);
	listener_arrived(&workers[1].listener, fd, &peer); /* was on its way */
	assert_int_equal(workers[1].n, 0);
	assert_int_equal(write(fd, "", 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_even, up, down),
		cmocka_unit_test_setup_teardown(test_between_equals_it_stays, up, down),
		cmocka_unit_test_setup_teardown(test_who_left_makes_room, up, down),
		cmocka_unit_test_setup_teardown(test_closed_gets_none, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
