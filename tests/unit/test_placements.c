/* The map from tenants to shards, against a plain array that must say the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "routing/placements.h"

#define TENANTS 4000
#define NAME 32

struct model {
	char name[TENANTS][NAME];
	uint32_t shard[TENANTS]; /* SHARD_NONE: not in it */
	size_t n;
};

static struct model *model_new(void)
{
	struct model *m = heap_zalloc(sizeof *m);

	for (int i = 0; i < TENANTS; i++) {
		snprintf(m->name[i], NAME, "%.*st%d", i % 13, "aaaaaaaaaaaaa", i);
		m->shard[i] = SHARD_NONE;
	}
	return m;
}

static void set(struct model *m, int i, uint32_t shard)
{
	m->n += shard != SHARD_NONE;
	m->n -= m->shard[i] != SHARD_NONE;
	m->shard[i] = shard;
}

/* The map with these tenants of the model as the model has them. Takes `old`. */
static struct placements *apply_take(struct placements *old, const struct model *m, const int *which,
    size_t n)
{
	struct placement *v = heap_alloc((n + 1) * sizeof *v);
	struct placements *out;

	for (size_t i = 0; i < n; i++) {
		struct str name = str_c(m->name[which[i]]);

		v[i] = (struct placement){ name, placements_hash(name), m->shard[which[i]] };
	}
	assert_int_equal(placements_sort(v, n), OK);
	assert_int_equal(placements_apply(old, v, n, &out), OK);
	heap_free(v);
	placements_unref(old);
	return out;
}

static void count_one(void *arg, struct str tenant, uint32_t shard)
{
	assert_int_equal(tenant.p[tenant.n], '\0');
	assert_int_not_equal(shard, SHARD_NONE);
	++*(size_t *)arg;
}

static void same(const struct placements *p, const struct model *m)
{
	size_t n = 0;

	for (int i = 0; i < TENANTS; i++)
		assert_int_equal(placements_find(p, str_c(m->name[i])), m->shard[i]);
	assert_int_equal(placements_count(p), m->n);
	placements_each(p, count_one, &n);
	assert_int_equal(n, m->n);
	assert_int_equal(placements_find(p, STR("nobody")), SHARD_NONE);
	assert_int_equal(placements_find(p, STR("")), SHARD_NONE);
}

static uint32_t seed = 1;

static uint32_t any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Grows to all tenants, shrinks to none, and grows again, by one and by many at a time; a version that
 * is held stays as it was. */
static void test_against_a_model(void **state)
{
	struct model *m = model_new(), *then = heap_alloc(sizeof *then);
	struct placements *p = NULL, *held = NULL;
	int which[600];

	(void)state;
	for (int round = 0; round < 400; round++) {
		bool shrinks = round / 100 % 2 == 1;
		size_t n = 0, many = any(4) == 0 ? any(600) + 1 : any(4) + 1;

		for (size_t i = 0; i < many; i++) {
			int t = (int)any(TENANTS);
			bool again = false;

			for (size_t j = 0; j < n; j++)
				again |= which[j] == t;
			if (again)
				continue;
			which[n++] = t;
			set(m, t, any(8) < (shrinks ? 7u : 1u) ? SHARD_NONE : any(50));
		}
		p = apply_take(p, m, which, n);
		if (round % 50 == 0) {
			same(p, m);
			if (round > 0)
				same(held, then);
			placements_unref(held);
			held = placements_ref(p);
			*then = *m;
		}
	}
	for (int i = 0; i < TENANTS; i++) {
		set(m, i, SHARD_NONE);
		p = apply_take(p, m, &i, 1);
	}
	assert_null(p);
	same(held, then);
	placements_unref(held);
	heap_free(m);
	heap_free(then);
}

static struct placements *full(struct model *m)
{
	int *all = heap_alloc(TENANTS * sizeof *all);
	struct placements *p;

	for (int i = 0; i < TENANTS; i++) {
		set(m, i, (uint32_t)i);
		all[i] = i;
	}
	p = apply_take(NULL, m, all, TENANTS);
	heap_free(all);
	return p;
}

struct told {
	struct model *a, *b;
	size_t calls, differing;
};

static uint32_t in(const struct model *m, struct str tenant)
{
	for (int i = 0; i < TENANTS; i++)
		if (str_eqc(tenant, m->name[i]))
			return m->shard[i];
	fail();
	return SHARD_NONE;
}

static void tell(void *arg, struct str tenant, uint32_t a, uint32_t b)
{
	struct told *t = arg;

	assert_int_equal(a, in(t->a, tenant));
	assert_int_equal(b, in(t->b, tenant));
	t->calls++;
	t->differing += a != b;
}

static void test_diff(void **state)
{
	struct model *a = model_new(), *b = heap_alloc(sizeof *b);
	struct told t = { a, b, 0, 0 };
	struct placements *p = full(a), *q, *fresh;
	int gone = 7, moved = 1999;

	(void)state;
	*b = *a;
	set(b, gone, SHARD_NONE);
	set(b, moved, 1);
	q = apply_take(placements_ref(p), b, &gone, 1);
	q = apply_take(q, b, &moved, 1);
	placements_diff(p, q, tell, &t);
	assert_int_equal(t.differing, 2);
	assert_in_range(t.calls, 2, 200); /* of 4,000: the rest is shared */

	*b = *a;
	fresh = full(b);
	t.calls = t.differing = 0;
	placements_diff(p, fresh, tell, &t);
	assert_int_equal(t.calls, TENANTS);
	assert_int_equal(t.differing, 0);

	for (int i = 0; i < TENANTS; i++)
		b->shard[i] = SHARD_NONE;
	t.calls = t.differing = 0;
	placements_diff(p, NULL, tell, &t);
	assert_int_equal(t.differing, TENANTS);
	placements_unref(p);
	placements_unref(q);
	placements_unref(fresh);
	heap_free(a);
	heap_free(b);
}

static void test_twice(void **state)
{
	struct placement v[3] = { { STR("b"), placements_hash(STR("b")), 1 },
		{ STR("a"), placements_hash(STR("a")), 2 }, { STR("b"), placements_hash(STR("b")), 3 } };

	(void)state;
	assert_int_equal(placements_sort(v, 3), E_CONFLICT);
	assert_int_equal(placements_sort(v, 0), OK);
}

/* Many of one hash: nobody can make them, so this does. They lie together, and are told apart. */
static void test_one_hash(void **state)
{
	struct placement v[300];
	char name[300][8];
	struct placements *p, *q;

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		snprintf(name[i], sizeof name[i], "t%u", i);
		v[i] = (struct placement){ str_c(name[i]), 0x12345678, i };
	}
	assert_int_equal(placements_sort(v, 300), OK);
	assert_int_equal(placements_apply(NULL, v, 300, &p), OK);
	assert_int_equal(placements_count(p), 300);
	for (uint32_t i = 0; i < 300; i++)
		v[i].shard = i < 299 ? SHARD_NONE : 7;
	assert_int_equal(placements_apply(p, v, 300, &q), OK);
	assert_int_equal(placements_count(q), 1);
	placements_unref(p);
	placements_unref(q);
}

/* Whatever allocation fails: E_NOMEM, the old map stays, nothing leaks (asan). */
static void test_no_memory(void **state)
{
	struct model *m = model_new();
	struct placements *p = full(m), *q = NULL;
	struct placement v[20];
	enum err e = E_NOMEM;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct str name = str_c(m->name[i * 7]);

		v[i] = (struct placement){ name, placements_hash(name), i % 2 ? SHARD_NONE : 5 };
	}
	assert_int_equal(placements_sort(v, 20), OK);
	for (long n = 1; e != OK; n++) {
		heap_fail_after(n);
		e = placements_apply(p, v, 20, &q);
		heap_fail_after(0);
		assert_true(e == OK || e == E_NOMEM);
		assert_true((q != NULL) == (e == OK));
	}
	same(p, m);
	placements_unref(p);
	placements_unref(q);
	heap_free(m);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* One thread makes new versions and hands them out, others read and drop them. */
struct shared {
	pthread_mutex_t mu;
	struct placements *p;
	struct model *m;
	atomic_bool stop;
};

static void *reader(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->stop)) {
		struct placements *p;

		pthread_mutex_lock(&s->mu);
		p = placements_ref(s->p);
		pthread_mutex_unlock(&s->mu);
		for (int i = 0; i < 50; i++)
			if (placements_find(p, str_c(s->m->name[i])) == SHARD_NONE)
				abort(); /* they move, and are never gone */
		placements_unref(p);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct shared s = { .mu = PTHREAD_MUTEX_INITIALIZER, .m = model_new() };
	struct model *m = model_new();
	pthread_t t[3];

	(void)state;
	s.p = full(m);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, &s), 0);
	for (int i = 0; i < 2000; i++) {
		int which = i % TENANTS;
		struct placements *old = s.p, *next;

		set(m, which, (uint32_t)i);
		next = apply_take(placements_ref(old), m, &which, 1);
		pthread_mutex_lock(&s.mu);
		s.p = next;
		pthread_mutex_unlock(&s.mu);
		placements_unref(old);
	}
	atomic_store(&s.stop, true);
	for (size_t i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	placements_unref(s.p);
	heap_free(s.m);
	heap_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_one_hash),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
