/* An address belongs to one gateway, also when several start at the same instant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "front/front.h"

#define STARTS 20
#define ROUNDS 25

static pthread_barrier_t gate;
static char address[64];

/* One start: the socket, or -1. */
static void *start(void *arg)
{
	struct sockaddr_storage bound;
	int *fd = arg;

	pthread_barrier_wait(&gate);
	if (front_bind(address, fd, &bound, NULL) != OK)
		*fd = -1;
	return NULL;
}

static void free_address(void)
{
	struct sockaddr_storage bound;
	int fd;

	assert_int_equal(front_bind("127.0.0.1:0", &fd, &bound, NULL), OK);
	snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(((struct sockaddr_in *)&bound)->sin_port));
	close(fd);
}

static void test_one_of_many(void **state)
{
	pthread_t threads[STARTS];
	int fds[STARTS];

	(void)state;
	free_address();
	pthread_barrier_init(&gate, NULL, STARTS);
	for (int round = 0; round < ROUNDS; round++) {
		int have = 0;

		for (int i = 0; i < STARTS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, start, &fds[i]), 0);
		for (int i = 0; i < STARTS; i++) {
			pthread_join(threads[i], NULL);
			have += fds[i] >= 0;
		}
		for (int i = 0; i < STARTS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		assert_int_equal(have, 1);
	}
	pthread_barrier_destroy(&gate);
}

static void test_siblings(void **state)
{
	struct sockaddr_storage bound, other;
	int first, sibling, stranger;

	(void)state;
	assert_int_equal(front_bind("127.0.0.1:0", &first, &bound, NULL), OK);
	assert_int_equal(front_bind_sibling(&bound, &sibling, NULL), OK);
	snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(((struct sockaddr_in *)&bound)->sin_port));
	assert_int_equal(front_bind(address, &stranger, &other, NULL), E_CONFIG);
	close(first); /* a worker that drains lets go of its own only */
	assert_int_equal(front_bind(address, &stranger, &other, NULL), E_CONFIG);
	close(sibling);
	assert_int_equal(front_bind(address, &stranger, &other, NULL), OK);
	close(stranger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_of_many),
		cmocka_unit_test(test_siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
