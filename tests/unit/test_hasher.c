#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "crypto/hasher.h"

#define CALLERS 24

static const struct password_params cheap = { .memory_kib = 64, .iterations = 1, .parallelism = 1 };
static const struct password_params slow = { .memory_kib = 19456, .iterations = 8, .parallelism = 1 };

struct crowd {
	struct hasher *h;
	pthread_barrier_t together;
	atomic_int done, refused, wrong;
};

static void *caller(void *arg)
{
	struct crowd *c = arg;
	char phc[PASSWORD_PHC_LEN];
	enum err e;

	pthread_barrier_wait(&c->together);
	e = hasher_hash(c->h, STR("a password"), phc);
	if (e == E_OVERLOADED)
		c->refused++;
	else if (e == OK && password_verify(STR("a password"), str_c(phc), &cheap, NULL) == OK)
		c->done++;
	else
		c->wrong++;
	return NULL;
}

static void call_at_once(struct crowd *c, const struct password_params *p, int threads, size_t queue)
{
	pthread_t t[CALLERS];

	assert_int_equal(hasher_new(p, threads, queue, &c->h), OK);
	pthread_barrier_init(&c->together, NULL, CALLERS);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, caller, c), 0);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&c->together);
	assert_int_equal(hasher_waiting(c->h), 0);
	assert_false(hasher_full(c->h));
	hasher_free(c->h);
	assert_int_equal(c->wrong, 0);
	assert_int_equal(c->done + c->refused, CALLERS);
}

static void every_caller_gets_an_own_answer(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	call_at_once(&c, &cheap, 3, CALLERS);
	assert_int_equal(c.done, CALLERS);
}

static void what_has_no_room_is_refused(void **state)
{
	struct crowd c = { 0 };

	(void)state;
	call_at_once(&c, &slow, 1, 2);
	assert_true(c.done >= 3);
	assert_true(c.refused >= 1);
}

static void verifies_and_says_what_is_weaker(void **state)
{
	struct hasher *h;
	char phc[PASSWORD_PHC_LEN];
	bool weaker = true;

	(void)state;
	assert_int_equal(hasher_new(&cheap, 1, 0, &h), OK);
	assert_int_equal(hasher_hash(h, STR("a password"), phc), OK);
	assert_int_equal(hasher_verify(h, STR("a password"), str_c(phc), &weaker), OK);
	assert_false(weaker);
	assert_int_equal(hasher_verify(h, STR("another"), str_c(phc), &weaker), E_INVALID_CREDENTIALS);
	assert_int_equal(hasher_verify(h, STR("a password"), STR_NONE, NULL), E_INVALID_CREDENTIALS);
	hasher_free(h);
	assert_int_equal(hasher_new(&slow, 1, 0, &h), OK);
	assert_int_equal(hasher_verify(h, STR("a password"), str_c(phc), &weaker), OK);
	assert_true(weaker);
	hasher_free(h);
}

/* The nice value of each thread of this process that is called `name`; how many there are. */
static int nice_of(const char *name, long *nice)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[300], comm[32] = "", line[1024] = "";
		FILE *f;

		snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		if (fgets(line, sizeof line, f) != NULL && sscanf(line, "%*d (%31[^)])", comm) == 1 &&
		    strcmp(comm, name) == 0 && sscanf(strrchr(line, ')'),
		    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %ld", nice) == 1)
			n++;
		fclose(f);
	}
	closedir(d);
	return n;
}

static void hashing_gives_way(void **state)
{
	struct hasher *h;
	char phc[PASSWORD_PHC_LEN];
	long nice = 0;

	(void)state;
	assert_int_equal(hasher_new(&cheap, 1, 0, &h), OK);
	assert_int_equal(hasher_hash(h, STR("a password"), phc), OK); /* so the thread is under way */
	assert_int_equal(nice_of("hash", &nice), 1);
	assert_true(nice > 0);
	hasher_free(h);
}

static void other_parameters_hold_from_the_next_call_on(void **state)
{
	static const struct password_params stronger = { .memory_kib = 128, .iterations = 2,
		.parallelism = 1 };
	char phc[PASSWORD_PHC_LEN], anew[PASSWORD_PHC_LEN];
	bool weaker = true;
	struct hasher *h;

	(void)state;
	assert_int_equal(hasher_new(&cheap, 1, 0, &h), OK);
	assert_int_equal(hasher_hash(h, STR("a password"), phc), OK);
	assert_int_equal(hasher_verify(h, STR("a password"), str_c(phc), &weaker), OK);
	assert_false(weaker);
	hasher_configure(h, &stronger);
	assert_int_equal(hasher_verify(h, STR("a password"), str_c(phc), &weaker), OK);
	assert_true(weaker);
	assert_int_equal(hasher_hash(h, STR("a password"), anew), OK);
	assert_non_null(strstr(anew, "$m=128,t=2,p=1$"));
	hasher_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_caller_gets_an_own_answer),
		cmocka_unit_test(what_has_no_room_is_refused),
		cmocka_unit_test(verifies_and_says_what_is_weaker),
		cmocka_unit_test(hashing_gives_way),
		cmocka_unit_test(other_parameters_hold_from_the_next_call_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
