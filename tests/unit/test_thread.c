#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <signal.h>

#include "base/thread.h"

struct seen {
	sem_t named; /* the starter names it, at its own time */
	sigset_t masked;
	char name[16];
};

static void *look(void *arg)
{
	struct seen *s = arg;

	sem_wait(&s->named);
	pthread_sigmask(SIG_SETMASK, NULL, &s->masked);
	pthread_getname_np(pthread_self(), s->name, sizeof s->name);
	return s;
}

static void run(struct seen *s)
{
	pthread_t t;
	void *returned;

	assert_int_equal(sem_init(&s->named, 0, 0), 0);
	assert_int_equal(thread_start(&t, "fifteen letters", look, s), OK);
	sem_post(&s->named);
	assert_int_equal(pthread_join(t, &returned), 0);
	assert_ptr_equal(returned, s);
	sem_destroy(&s->named);
}

static void is_named(void **state)
{
	struct seen s = { 0 };

	(void)state;
	run(&s);
	assert_string_equal(s.name, "fifteen letters");
}

static void no_signal_comes_to_it(void **state)
{
	static const int some[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM };
	struct seen s = { 0 };

	(void)state;
	run(&s);
	for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
		assert_true(sigismember(&s.masked, some[i]));
}

static void who_starts_it_hears_what_it_heard(void **state)
{
	struct seen s = { 0 };
	sigset_t usr1, before, after;

	(void)state;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, &before);
	run(&s);
	pthread_sigmask(SIG_SETMASK, &before, &after);
	assert_true(sigismember(&after, SIGUSR1));
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	assert_false(sigismember(&after, SIGTERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_named),
		cmocka_unit_test(no_signal_comes_to_it),
		cmocka_unit_test(who_starts_it_hears_what_it_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
