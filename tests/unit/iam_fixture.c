#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iam_fixture.h"

#include <pthread.h>

#include "base/heap.h"
#include "iam/assignment.h"
#include "iam/email.h"
#include "iam/tenant.h"
#include "store/migrate.h"

static struct iam *make(void)
{
	static const unsigned char key[32] = "the master key of these tests...";
	struct iam *t = heap_zalloc(sizeof *t);

	assert_non_null(t);
	assert_int_equal(seal_new(key, &t->seal), OK);
	return t;
}

int iam_setup(void **state)
{
	struct iam *t = make();

	fixture_sqlite_migrated(&t->x);
	*state = t;
	return 0;
}

int iam_teardown(void **state)
{
	struct iam *t = *state;

	seal_free(t->seal);
	store_close(t->other);
	fixture_release(&t->x);
	heap_free(t);
	return 0;
}

/* ---- on rqlite ------------------------------------------------------------------------------ */

static struct rqlited cluster;

int iam_cluster_up(void **state)
{
	struct store_config c = { .url = cluster.url };
	struct fail f = { 0 };
	struct store *s;

	(void)state;
	rqlited_start(&cluster, 3);
	assert_ok(store_open(&s, &c, &f), &f);
	assert_ok(migrate_up(s, migrations_embedded, NOW, NULL, &f), &f);
	store_close(s);
	return 0;
}

int iam_cluster_down(void **state)
{
	(void)state;
	rqlited_stop(&cluster);
	return 0;
}

static void empty(struct store *s)
{
	static const char *const tables[] = {
		"DELETE FROM user", "DELETE FROM tenant", "DELETE FROM role", "DELETE FROM role_grant",
		"DELETE FROM assignment", "DELETE FROM session", "DELETE FROM signing_key",
		"DELETE FROM service_account", "DELETE FROM credential", "DELETE FROM change",
		"DELETE FROM audit", "DELETE FROM tries", "DELETE FROM known_network",
		"DELETE FROM identity", "DELETE FROM oidc_state", "DELETE FROM oidc_handoff",
	};

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		fixture_exec(s, (struct store_stmt){ .sql = tables[i], .expect = STORE_ANY });
}

int iam_setup_rqlite(void **state)
{
	struct store_config c = { .url = cluster.url };
	struct iam *t = make();
	struct fail f = { 0 };

	arena_init(&t->x.arena, 64 << 20);
	temp_make(t->x.dir);
	assert_ok(store_open(&t->x.store, &c, &f), &f);
	assert_ok(store_open(&t->other, &c, &f), &f);
	empty(t->x.store);
	*state = t;
	return 0;
}

void iam_begin(struct iam *t, struct write *w)
{
	write_init(w, &t->x.arena, NOW);
}

enum err iam_commit(struct iam *t, struct write *w)
{
	struct fail f = { 0 };
	enum err e = write_run(w, t->x.store, &f);

	fail_clear(&f);
	return e;
}

struct id iam_user(struct iam *t, const char *email)
{
	struct user u = { .id = id_new(NOW), .email = str_c(email), .phc = STR("phc") };
	struct str fold;
	struct write w;

	assert_int_equal(email_fold(u.email, &t->x.arena, &fold), OK);
	iam_begin(t, &w);
	user_insert(&w, &u, fold);
	assert_int_equal(iam_commit(t, &w), OK);
	return u.id;
}

void iam_tenant(struct iam *t, const char *id)
{
	struct write w;

	iam_begin(t, &w);
	tenant_insert(&w, str_c(id), str_c(id));
	assert_int_equal(iam_commit(t, &w), OK);
}

struct id iam_assign(struct iam *t, struct id principal, const char *tenant, const char *role)
{
	struct assignment as = { .id = id_new(NOW), .principal = principal, .tenant = str_c(tenant),
		.role = str_c(role) };
	struct write w;

	iam_begin(t, &w);
	assignment_insert(&w, &as, true);
	assert_int_equal(iam_commit(t, &w), OK);
	return as.id;
}

int64_t iam_count(struct iam *t, const char *sql)
{
	struct store_stmt s = { .sql = sql, .expect = STORE_ANY };

	return fixture_int(t->x.store, s);
}

/* ---- many threads at once ------------------------------------------------------------------- */

struct runner {
	pthread_barrier_t *start;
	void (*fn)(void *arg, int i);
	void *arg;
	int i;
};

static void *run(void *p)
{
	struct runner *r = p;

	pthread_barrier_wait(r->start);
	r->fn(r->arg, r->i);
	return NULL;
}

void iam_together(int n, void (*fn)(void *arg, int i), void *arg)
{
	pthread_barrier_t start;
	struct runner r[64];
	pthread_t th[64];

	assert_in_range(n, 1, 64);
	pthread_barrier_init(&start, NULL, (unsigned)n);
	for (int i = 0; i < n; i++) {
		r[i] = (struct runner){ &start, fn, arg, i };
		assert_int_equal(pthread_create(&th[i], NULL, run, &r[i]), 0);
	}
	for (int i = 0; i < n; i++)
		pthread_join(th[i], NULL);
	pthread_barrier_destroy(&start);
}
