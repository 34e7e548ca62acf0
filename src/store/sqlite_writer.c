#include "store/sqlite_writer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/thread.h"
#include "store/engine.h"
#include "store/sqlite_conn.h"

#define GROUP_MAX 256   /* batches in one commit */
#define QUEUE_MAX 4096  /* batches that wait; past it callers wait for room */

/* One caller's batch; lives on its stack until `done`. */
struct job {
	struct job *next;
	const struct store_batch *b;
	sem_t done;
	_Atomic enum { JOB_QUEUED, JOB_TAKEN, JOB_DONE } state;
	enum err err;
	size_t failed_at;
	struct fail fail;
};

struct writer {
	struct conn conn; /* the thread's alone */
	struct meter *meter;
	int64_t timeout_us;
	pthread_t thread;
	atomic_bool closing;
	atomic_int_fast64_t failed_at; /* monotonic: the disk did; 0: never */
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t work, room;
	struct job *head, **tail;
	size_t queued;
};

/* ---- the thread --------------------------------------------------------------------------- */

/* *changed: rows, when it is a guard that failed. */
static enum err run_statement(struct conn *c, struct job *j, size_t i, int *changed)
{
	const struct store_batch *b = j->b;
	const struct store_stmt *st = &b->stmts[i];
	struct store_rows *rows = b->out != NULL ? &b->out[i] : NULL;
	enum err e = conn_run(c, st, rows != NULL ? b->arena : NULL, rows, changed, &j->fail);

	if (e != OK)
		*changed = 0;
	else if (st->expect != STORE_ANY && *changed != st->expect)
		e = engine_guard_error(st, i, &j->fail);
	if (e != OK)
		j->failed_at = i;
	return e;
}

static enum err run_batch(struct conn *c, struct job *j)
{
	enum err e = OK;
	int changed;

	for (size_t i = 0; i < j->b->n && e == OK; i++)
		e = run_statement(c, j, i, &changed);
	return e;
}

/* What has become of the transaction. */
enum fate {
	GOES_ON,
	LOST,    /* SQLite gave it up (disk full, I/O error, out of memory): nothing of the group is there */
	SPOILED, /* holds what a failed batch has changed: to be rolled back and done again, carefully */
};

/* Most batches are one statement: alone it needs no savepoint, for it fails whole, or by a guard that
 * wanted a row and found none. One that changed more rows than its guard allows spoils the group. */
static enum fate run_single(struct conn *c, struct job *j)
{
	int changed;

	j->err = run_statement(c, j, 0, &changed);
	if (sqlite3_get_autocommit(c->db))
		return LOST;
	return j->err != OK && changed > 0 ? SPOILED : GOES_ON;
}

static enum fate run_in_savepoint(struct conn *c, struct job *j)
{
	static const struct store_stmt savepoint = { .sql = "SAVEPOINT batch", .expect = STORE_ANY };
	static const struct store_stmt release = { .sql = "RELEASE batch", .expect = STORE_ANY };
	static const struct store_stmt back = { .sql = "ROLLBACK TO batch", .expect = STORE_ANY };
	bool set;

	j->err = conn_run(c, &savepoint, NULL, NULL, NULL, &j->fail);
	set = j->err == OK;
	if (set)
		j->err = run_batch(c, j);
	if (sqlite3_get_autocommit(c->db))
		return LOST;
	if (!set)
		return GOES_ON;
	if (j->err == OK) {
		j->err = conn_run(c, &release, NULL, NULL, NULL, &j->fail);
		return j->err == OK ? GOES_ON : LOST;
	}
	return conn_run(c, &back, NULL, NULL, NULL, NULL) == OK &&
	    conn_run(c, &release, NULL, NULL, NULL, NULL) == OK ? GOES_ON : LOST;
}

/* Every job of the group that had succeeded gets the error; those that failed keep their own. */
static void fail_group(struct job *group, enum err e, const struct fail *f)
{
	for (struct job *j = group; j != NULL; j = j->next) {
		if (j->err != OK)
			continue;
		j->err = fail_set(&j->fail, e, "%s", f->text);
		j->failed_at = j->b->n;
	}
}

/* A disk that fails in the commit may still have the frames: who reopens the file after a crash may
 * find them. Only then is the outcome unknown. */
static enum err commit_error(struct conn *c, int rc, struct fail *f)
{
	enum err e = conn_error(c, rc, f);

	return (rc & 0xff) == SQLITE_IOERR ? fail_set(f, E_STORE_UNKNOWN,
	    "the disk failed in the commit: %s", sqlite3_errmsg(c->db)) : e;
}

static void roll_back(struct conn *c)
{
	if (!sqlite3_get_autocommit(c->db))
		conn_exec(c, "ROLLBACK");
}

/* The group is over because of j. */
static void lose_group(struct conn *c, struct job *group, struct job *j)
{
	struct fail f = { 0 };

	if (j->err == OK)
		j->err = fail_set(&j->fail, E_STORE_UNAVAILABLE, "the transaction was lost");
	fail_set(&f, E_STORE_UNAVAILABLE, "%s", fail_text(&j->fail));
	fail_group(group, E_STORE_UNAVAILABLE, &f);
	roll_back(c);
}

/* The batches of the group in one transaction; how many, 0 when nothing is there to be committed. */
static size_t run_group(struct conn *c, struct job *group, bool carefully, enum fate *fate)
{
	size_t n = 0;

	for (struct job *j = group; j != NULL; j = j->next, n++) {
		j->fail = (struct fail){ 0 };
		j->failed_at = j->b->n;
		*fate = !carefully && j->b->n == 1 ? run_single(c, j) : run_in_savepoint(c, j);
		if (*fate == LOST)
			lose_group(c, group, j);
		if (*fate != GOES_ON)
			return 0;
	}
	return n;
}

static int begin(struct conn *c, struct job *group)
{
	struct fail f = { 0 };
	int rc = conn_exec_cached(c, "BEGIN IMMEDIATE");

	if (rc != SQLITE_OK)
		fail_group(group, conn_error(c, rc, &f), &f);
	return rc;
}

static size_t commit_group(struct conn *c, struct job *group)
{
	struct fail f = { 0 };
	enum fate fate = GOES_ON;
	size_t n;
	int rc;

	if (begin(c, group) != SQLITE_OK)
		return 0;
	n = run_group(c, group, false, &fate);
	if (fate == SPOILED) {
		roll_back(c);
		for (struct job *j = group; j != NULL; j = j->next)
			j->err = OK;
		if (begin(c, group) != SQLITE_OK)
			return 0;
		n = run_group(c, group, true, &fate);
	}
	if (fate != GOES_ON)
		return 0;
	rc = conn_exec_cached(c, "COMMIT");
	if (rc == SQLITE_OK)
		return n;
	fail_group(group, commit_error(c, rc, &f), &f);
	roll_back(c);
	return 0;
}

static struct job *take_group(struct writer *w)
{
	struct job *group = w->head, *last = NULL;

	for (size_t n = 0; n < GROUP_MAX && w->head != NULL; n++) {
		last = w->head;
		last->state = JOB_TAKEN;
		w->head = last->next;
		w->queued--;
	}
	if (last != NULL)
		last->next = NULL;
	if (w->head == NULL)
		w->tail = &w->head;
	pthread_cond_broadcast(&w->room);
	return group;
}

/* Without the lock, so that nobody wakes up to wait for it. A job's memory is its caller's again as
 * soon as its semaphore is up. */
static void finish_group(struct job *group)
{
	struct job *next;

	for (struct job *j = group; j != NULL; j = next) {
		next = j->next;
		j->state = JOB_DONE;
		sem_post(&j->done);
	}
}

static void *writer_thread(void *arg)
{
	struct writer *w = arg;
	struct job *group;
	size_t n;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->head == NULL && !w->closing)
			pthread_cond_wait(&w->work, &w->lock);
		group = take_group(w);
		if (group == NULL)
			break;
		pthread_mutex_unlock(&w->lock);
		n = commit_group(&w->conn, group);
		if (n > 0)
			meter_commit(w->meter, n);
		if (w->conn.disk_failed)
			w->failed_at = clock_mono();
		w->conn.disk_failed = false;
		finish_group(group);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- callers ------------------------------------------------------------------------------ */

static struct timespec deadline_after(int64_t us)
{
	int64_t t = clock_mono() + us;

	return (struct timespec){ t / CLOCK_SEC, t % CLOCK_SEC * 1000 };
}

/* Takes a job out that the writer has not taken. */
static void unqueue(struct writer *w, struct job *job)
{
	struct job **p = &w->head;

	while (*p != job)
		p = &(*p)->next;
	*p = job->next;
	if (w->tail == &job->next)
		w->tail = p;
	w->queued--;
}

/* Under the lock. False: no room in time. */
static bool enqueue(struct writer *w, struct job *job, const struct timespec *until)
{
	int rc = 0;

	while (w->queued >= QUEUE_MAX && !w->closing && rc == 0)
		rc = pthread_cond_clockwait(&w->room, &w->lock, CLOCK_MONOTONIC, until);
	if (w->closing || w->queued >= QUEUE_MAX)
		return false;
	*w->tail = job;
	w->tail = &job->next;
	w->queued++;
	pthread_cond_signal(&w->work);
	return true;
}

/* False: the writer has it. */
static bool give_up(struct writer *w, struct job *job)
{
	bool waits;

	pthread_mutex_lock(&w->lock);
	waits = job->state == JOB_QUEUED;
	if (waits)
		unqueue(w, job);
	pthread_mutex_unlock(&w->lock);
	return waits;
}

/* A job that was taken is waited for however long it takes. */
static void await(struct writer *w, struct job *job, const struct timespec *until)
{
	int rc;

	while ((rc = sem_clockwait(&job->done, CLOCK_MONOTONIC, until)) != 0 && errno == EINTR)
		;
	if (rc == 0)
		return;
	if (give_up(w, job)) {
		job->err = fail_set(&job->fail, E_STORE_UNAVAILABLE,
		    "the store is busy: the write waited too long");
		return;
	}
	while (sem_wait(&job->done) != 0)
		; /* EINTR */
}

/* The job is over, and what the writer has written into it is ours to read: ThreadSanitizer does not
 * know that sem_clockwait says so. */
static void take_back(struct job *job)
{
	(void)atomic_load_explicit(&job->state, memory_order_acquire);
	sem_destroy(&job->done);
}

enum err writer_write(struct writer *w, const struct store_batch *b, size_t *failed_at,
    struct fail *f)
{
	struct job job = { .b = b, .failed_at = b->n };
	struct timespec until = deadline_after(w->timeout_us);
	bool queued;

	sem_init(&job.done, 0, 0);
	pthread_mutex_lock(&w->lock);
	queued = enqueue(w, &job, &until);
	pthread_mutex_unlock(&w->lock);
	if (queued)
		await(w, &job, &until);
	else
		job.err = fail_set(&job.fail, E_STORE_UNAVAILABLE, "the store is %s",
		    w->closing ? "closing" : "busy: too many writes wait");
	take_back(&job);
	*failed_at = job.failed_at;
	return job.err == OK ? OK : fail_set(f, job.err, "%s", job.fail.text);
}

int64_t writer_failed_at(const struct writer *w)
{
	return w->failed_at;
}

/* ---- open and close ----------------------------------------------------------------------- */

enum err writer_open(struct writer **out, const char *path, int64_t timeout_us, struct meter *m,
    struct fail *f)
{
	struct writer *w = heap_zalloc(sizeof *w);
	enum err e;

	if (w == NULL)
		return fail_set(f, E_NOMEM, "%s", "");
	w->meter = m;
	w->timeout_us = timeout_us;
	w->tail = &w->head;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	pthread_cond_init(&w->room, NULL);
	e = conn_open(&w->conn, path, true, true, timeout_us, &w->closing, f);
	if (e == OK && thread_start(&w->thread, "store", writer_thread, w) != OK) {
		conn_close(&w->conn);
		e = fail_set(f, E_NOMEM, "cannot start the writer thread");
	}
	if (e != OK) {
		pthread_mutex_destroy(&w->lock);
		pthread_cond_destroy(&w->work);
		pthread_cond_destroy(&w->room);
		heap_free(w);
		return e;
	}
	*out = w;
	return OK;
}

void writer_stop(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_broadcast(&w->work);
	pthread_cond_broadcast(&w->room);
	pthread_mutex_unlock(&w->lock);
}

void writer_close(struct writer *w)
{
	writer_stop(w);
	pthread_join(w->thread, NULL);
	conn_close(&w->conn);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->room);
	heap_free(w);
}
