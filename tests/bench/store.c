/* What the store does in a second: one-row guarded updates by many threads, and reads of one row at
 * each level; on a new SQLite file and on three rqlite nodes of this machine, or on the store given.
 * usage: store-bench [URL [THREADS [SECONDS]]] */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/rqlited.h"
#include "../unit/store_fixture.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rnd.h"

#define ROWS 100000
#define THREADS_MAX 256
#define SAMPLES 200000 /* of each thread, the first ones */

enum job { JOB_WRITE, JOB_STALE, JOB_FRESH, JOB_LINEAR };

static struct store *store;
static struct id *ids;
static atomic_bool stop;
static int threads = 64;
static double seconds = 3;

struct worker {
	enum job job;
	pthread_t thread;
	long n, errors;
	uint32_t *us;
};

static void fill(void)
{
	struct store_stmt st[] = { STMT("DROP TABLE IF EXISTS bench"),
		STMT("CREATE TABLE bench (id BLOB NOT NULL PRIMARY KEY, n INTEGER NOT NULL, note TEXT)"
		    " STRICT, WITHOUT ROWID") };
	struct store_val v[500];
	struct fail f = { 0 };
	struct buf sql;

	assert_ok(fixture_write(store, st, 2, &f), &f);
	ids = calloc(ROWS, sizeof *ids);
	buf_init(&sql, 1 << 20);
	buf_addz(&sql, "INSERT INTO bench (id, n, note) VALUES ");
	for (int i = 0; i < 500; i++)
		buf_printf(&sql, "%s(?, 0, '%0100d')", i > 0 ? ", " : "", 0);
	for (int i = 0; i < ROWS; i += 500) {
		struct store_stmt in = { .sql = buf_cstr(&sql), .v = v, .n = 500, .expect = 500 };

		for (int k = 0; k < 500; k++) {
			ids[i + k] = id_new(clock_wall());
			v[k] = SV_ID(&ids[i + k]);
		}
		assert_ok(fixture_write(store, &in, 1, &f), &f);
	}
	buf_release(&sql);
}

static enum err do_one(struct worker *w, const struct id *id, struct arena *a)
{
	struct store_stmt update = STMT1(E_NOT_FOUND, "UPDATE bench SET n = n + 1 WHERE id = ?",
	    SV_ID(id));
	struct store_stmt select = STMT("SELECT n FROM bench WHERE id = ?", SV_ID(id));
	struct store_rows r;
	enum store_level level = w->job == JOB_STALE ? STORE_STALE : w->job == JOB_FRESH ?
	    STORE_FRESH : STORE_LINEAR;

	if (w->job == JOB_WRITE)
		return fixture_write(store, &update, 1, NULL);
	arena_clear(a);
	return store_read(store, level, &select, 1, a, &r, NULL);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct arena a;

	arena_init(&a, 1 << 20);
	while (!stop) {
		int64_t start = clock_mono();
		uint32_t dice;

		rnd_bytes(&dice, sizeof dice);
		w->errors += do_one(w, &ids[dice % ROWS], &a) != OK;
		if (w->n < SAMPLES)
			w->us[w->n] = (uint32_t)(clock_mono() - start);
		w->n++;
	}
	arena_release(&a);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void run(const char *name, enum job job)
{
	static struct worker w[THREADS_MAX];
	struct store_stats before, after;
	uint32_t *all = calloc((size_t)threads * SAMPLES, sizeof *all);
	size_t n = 0;
	long sum = 0, errors = 0;
	int64_t start = clock_mono();
	double took;

	store_stats(store, &before);
	stop = false;
	for (int i = 0; i < threads; i++) {
		w[i] = (struct worker){ .job = job, .us = calloc(SAMPLES, sizeof *w[i].us) };
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	nanosleep(&(struct timespec){ (time_t)seconds, 0 }, NULL);
	stop = true;
	for (int i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		sum += w[i].n;
		errors += w[i].errors;
		for (long k = 0; k < w[i].n && k < SAMPLES; k++)
			all[n++] = w[i].us[k];
		free(w[i].us);
	}
	took = (double)(clock_mono() - start) / CLOCK_SEC;
	store_stats(store, &after);
	qsort(all, n, sizeof *all, by_value);
	printf("  %-18s %8.0f/s   p50 %6.2f ms   p99 %6.2f ms", name, (double)sum / took,
	    n > 0 ? all[n / 2] / 1e3 : 0, n > 0 ? all[n * 99 / 100] / 1e3 : 0);
	if (job == JOB_WRITE && after.commits > before.commits)
		printf("   %.1f batches a commit", (double)(after.batch_size_sum -
		    before.batch_size_sum) / (double)(after.commits - before.commits));
	printf(errors > 0 ? "   %ld ERRORS\n" : "\n", errors);
	fflush(stdout);
	free(all);
}

static void run_all(const char *url)
{
	struct store_config c = { .url = url };
	struct fail f = { 0 };

	assert_ok(store_open(&store, &c, &f), &f);
	printf("%.40s, %d threads\n", url, threads);
	fill();
	run("one-row update", JOB_WRITE);
	if (store_is_rqlite(store))
		run("read, stale", JOB_STALE);
	run(store_is_rqlite(store) ? "read, fresh" : "read", JOB_FRESH);
	if (store_is_rqlite(store))
		run("read, linearizable", JOB_LINEAR);
	store_close(store);
	free(ids);
}

int main(int argc, char **argv)
{
	struct rqlited cluster;
	struct fixture x;

	log_configure(LOG_ERROR, true);
	threads = argc > 2 ? atoi(argv[2]) : threads;
	seconds = argc > 3 ? atof(argv[3]) : seconds;
	if (threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: store-bench [URL [THREADS [SECONDS]]]\n");
		return 2;
	}
	if (argc > 1 && argv[1][0] != '\0') {
		run_all(argv[1]);
		return 0;
	}
	fixture_sqlite(&x);
	run_all(x.url);
	fixture_release(&x);
	rqlited_start(&cluster, 3);
	run_all(cluster.url);
	rqlited_stop(&cluster);
	return 0;
}
