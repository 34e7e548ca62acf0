/* The loop and the pool: timers in order, messages from many threads, descriptors removed while their
 * event is pending, a bounded queue. Run under tsan too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/pool.h"

#define container(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

struct timed {
	struct loop_timer t;
	struct loop *l;
	int *order, *n, id;
	bool last;
};

static void timed_cb(struct loop_timer *t)
{
	struct timed *x = container(t, struct timed, t);

	x->order[(*x->n)++] = x->id;
	if (x->last)
		loop_stop(x->l);
}

static void timers(void **state)
{
	static const int delay_ms[] = { 30, 5, 20, 1, 25, 10, 3, 60 };
	enum { N = 8 };
	struct timed x[N];
	int order[N], n = 0;
	struct loop *l;

	(void)state;
	assert_int_equal(loop_new(&l), OK);
	for (int i = 0; i < N; i++) {
		x[i] = (struct timed){ .t = { .cb = timed_cb }, .l = l, .order = order, .n = &n, .id = i };
		assert_int_equal(loop_timer_set(l, &x[i].t, delay_ms[i] * CLOCK_MS), OK);
	}
	x[7].last = true;
	loop_timer_clear(l, &x[2].t);                           /* never */
	assert_int_equal(loop_timer_set(l, &x[0].t, 2 * CLOCK_MS), OK); /* sooner */
	loop_run(l);
	assert_int_equal(n, N - 1);
	{
		static const int want[] = { 3, 0, 6, 1, 5, 4, 7 };

		for (int i = 0; i < N - 1; i++)
			assert_int_equal(order[i], want[i]);
	}
	loop_free(l);
}

struct tick {
	struct loop_timer t;
	struct loop *l;
	int64_t set, best;
	int left;
};

static void tick_cb(struct loop_timer *t)
{
	struct tick *x = container(t, struct tick, t);
	int64_t took = loop_now(x->l) - x->set;

	assert_true(took >= 300);
	if (took < x->best)
		x->best = took;
	if (--x->left == 0)
		return loop_stop(x->l);
	x->set = loop_now(x->l);
	assert_int_equal(loop_timer_set(x->l, &x->t, 300), OK);
}

/* Not rounded to milliseconds: the best of many, for the machine may be late as often as it likes. */
static void timers_go_by_microseconds(void **state)
{
	struct epoll_event ev;
	struct tick x = { .t = { .cb = tick_cb }, .best = INT64_MAX, .left = 200 };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)state;
	if (epoll_pwait2(fd, &ev, 1, &(struct timespec){ 0 }, NULL) < 0) {
		print_message("skipped: there is no epoll_pwait2 here: %s\n", strerror(errno));
		close(fd);
		skip();
	}
	close(fd);
	assert_int_equal(loop_new(&x.l), OK);
	x.set = loop_now(x.l);
	assert_int_equal(loop_timer_set(x.l, &x.t, 300), OK);
	loop_run(x.l);
	assert_true(x.best < CLOCK_MS);
	loop_free(x.l);
}

#define SENDERS 4
#define EACH 5000

struct mail {
	struct loop_msg m;
	int sender, seq;
	struct inbox *inbox;
};
struct inbox {
	struct loop *l;
	int next[SENDERS], total;
	bool disordered;
};
static struct mail mails[SENDERS][EACH];

static void mail_cb(struct loop_msg *m)
{
	struct mail *x = (struct mail *)m;

	if (x->inbox->next[x->sender]++ != x->seq)
		x->inbox->disordered = true;
	if (++x->inbox->total == SENDERS * EACH)
		loop_stop(x->inbox->l);
}

static void *send_all(void *arg)
{
	struct mail *row = arg;

	for (int i = 0; i < EACH; i++)
		loop_post(row[i].inbox->l, &row[i].m);
	return NULL;
}

static void messages(void **state)
{
	struct inbox in = { 0 };
	pthread_t t[SENDERS];

	(void)state;
	assert_int_equal(loop_new(&in.l), OK);
	for (int s = 0; s < SENDERS; s++)
		for (int i = 0; i < EACH; i++)
			mails[s][i] = (struct mail){ { .cb = mail_cb }, s, i, &in };
	for (int s = 0; s < SENDERS; s++)
		pthread_create(&t[s], NULL, send_all, mails[s]);
	loop_run(in.l);
	for (int s = 0; s < SENDERS; s++)
		pthread_join(t[s], NULL);
	assert_int_equal(in.total, SENDERS * EACH);
	assert_false(in.disordered);
	loop_free(in.l);
}

struct rival {
	struct loop_fd fd;
	struct rival *other;
	struct loop *l;
	int calls;
};

static void rival_cb(struct loop_fd *fd, uint32_t events)
{
	struct rival *r = container(fd, struct rival, fd);

	(void)events;
	r->calls++;
	loop_del(r->l, &r->other->fd);
	loop_stop(r->l);
}

/* Two descriptors are ready at once; the first callback removes the other, which is not called. */
static void removed_while_pending(void **state)
{
	struct rival a = { 0 }, b = { 0 };
	struct loop *l;
	int pa[2], pb[2];

	(void)state;
	assert_int_equal(pipe(pa) | pipe(pb), 0);
	assert_int_equal(write(pa[1], "x", 1) + write(pb[1], "x", 1), 2);
	assert_int_equal(loop_new(&l), OK);
	a = (struct rival){ { pa[0], EPOLLIN, rival_cb }, &b, l, 0 };
	b = (struct rival){ { pb[0], EPOLLIN, rival_cb }, &a, l, 0 };
	assert_int_equal(loop_add(l, &a.fd) | loop_add(l, &b.fd), OK);
	loop_run(l);
	assert_int_equal(a.calls + b.calls, 1);
	loop_free(l);
	close(pa[0]), close(pa[1]), close(pb[0]), close(pb[1]);
}

struct sip {
	struct loop_fd fd;
	struct loop *l;
	int calls;
};

static void sip_cb(struct loop_fd *fd, uint32_t events)
{
	struct sip *s = container(fd, struct sip, fd);
	char byte;

	assert_int_equal(events & EPOLLIN, EPOLLIN);
	assert_int_equal(read(fd->fd, &byte, 1), 1);
	if (++s->calls == 3)
		loop_stop(s->l);
	else
		assert_int_equal(loop_again(s->l, fd), OK);
}

/* Who leaves something behind an edge is called again for it. */
static void left_behind_the_edge(void **state)
{
	struct sip s = { 0 };
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "xyz", 3), 3);
	assert_int_equal(loop_new(&s.l), OK);
	s.fd = (struct loop_fd){ p[0], EPOLLIN | EPOLLET, sip_cb };
	assert_int_equal(loop_add(s.l, &s.fd), OK);
	loop_run(s.l);
	assert_int_equal(s.calls, 3);
	loop_free(s.l);
	close(p[0]), close(p[1]);
}

struct job {
	struct pool_job j;
	pthread_mutex_t *gate;
	atomic_int *ran;
};

static void job_run(struct pool_job *j)
{
	struct job *x = (struct job *)j;

	pthread_mutex_lock(x->gate);
	pthread_mutex_unlock(x->gate);
	atomic_fetch_add(x->ran, 1);
}

static void pool_is_bounded(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct job jobs[40];
	atomic_int ran = 0;
	struct pool *p;
	int taken = 0;

	(void)state;
	assert_int_equal(pool_new(&p, "test", 2, 8), OK);
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 39; i++) {
		jobs[i] = (struct job){ { .run = job_run }, &gate, &ran };
		taken += pool_submit(p, &jobs[i].j) == OK;
	}
	assert_in_range(taken, 8, 10); /* 8 wait, at most 2 run */
	jobs[39] = (struct job){ { .run = job_run }, &gate, &ran };
	assert_int_equal(pool_submit_always(p, &jobs[39].j), OK);
	pthread_mutex_unlock(&gate);
	pool_stop(p);
	assert_int_equal(ran, taken + 1);
	assert_int_equal(pool_submit_always(p, &jobs[0].j), E_OVERLOADED);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers),
		cmocka_unit_test(timers_go_by_microseconds),
		cmocka_unit_test(messages),
		cmocka_unit_test(removed_while_pending),
		cmocka_unit_test(left_behind_the_edge),
		cmocka_unit_test(pool_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
