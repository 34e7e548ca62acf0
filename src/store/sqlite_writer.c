#include "store/sqlite_writer.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/heap.h"
#include "store/engine.h"
#include "store/sqlite_conn.h"

#define GROUP_MAX 256   /* batches in one commit */
#define QUEUE_MAX 4096  /* batches that wait; past it callers wait for room */

/* One caller's batch; lives on its stack until `done`. */
struct job {
	struct job *next;
	const struct store_batch *b;
	pthread_cond_t cond;
	enum { JOB_QUEUED, JOB_TAKEN, JOB_DONE } state;
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

static enum err run_batch(struct conn *c, struct job *j)
{
	enum err e = OK;
	int changed;
	size_t i;

	for (i = 0; i < j->b->n && e == OK; i++) {
		const struct store_stmt *st = &j->b->stmts[i];

		e = conn_run(c, st, NULL, NULL, &changed, &j->fail);
		if (e == OK && st->expect != STORE_ANY && changed != st->expect)
			e = engine_guard_error(st, i, &j->fail);
		if (e != OK)
			j->failed_at = i;
	}
	return e;
}

/* Runs the batch in a savepoint. Returns false when SQLite gave up the whole transaction (disk full,
 * I/O error, out of memory): then nothing of the group is there any more. */
static bool run_job(struct conn *c, struct job *j)
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
		return false;
	if (!set)
		return true;
	if (j->err == OK)
		return (j->err = conn_run(c, &release, NULL, NULL, NULL, &j->fail)) == OK;
	return conn_run(c, &back, NULL, NULL, NULL, NULL) == OK &&
	    conn_run(c, &release, NULL, NULL, NULL, NULL) == OK;
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

static size_t commit_group(struct conn *c, struct job *group)
{
	struct fail f = { 0 };
	size_t n = 0;
	int rc = conn_exec(c, "BEGIN IMMEDIATE");

	if (rc != SQLITE_OK) {
		fail_group(group, conn_error(c, rc, &f), &f);
		return 0;
	}
	for (struct job *j = group; j != NULL; j = j->next, n++) {
		if (run_job(c, j))
			continue;
		if (j->err == OK)
			j->err = fail_set(&j->fail, E_STORE_UNAVAILABLE, "the transaction was lost");
		f = (struct fail){ 0 };
		fail_set(&f, E_STORE_UNAVAILABLE, "%s", fail_text(&j->fail));
		fail_group(group, E_STORE_UNAVAILABLE, &f);
		if (!sqlite3_get_autocommit(c->db))
			conn_exec(c, "ROLLBACK");
		return 0;
	}
	rc = conn_exec(c, "COMMIT");
	if (rc == SQLITE_OK)
		return n;
	fail_group(group, commit_error(c, rc, &f), &f);
	if (!sqlite3_get_autocommit(c->db))
		conn_exec(c, "ROLLBACK");
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

/* A job's memory is its caller's again as soon as the lock is let go. */
static void finish_group(struct job *group)
{
	struct job *next;

	for (struct job *j = group; j != NULL; j = next) {
		next = j->next;
		j->state = JOB_DONE;
		pthread_cond_signal(&j->cond);
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
		pthread_mutex_lock(&w->lock);
		finish_group(group);
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

/* Under the lock. A job that was taken is waited for however long it takes: the writer has it. */
static void await(struct writer *w, struct job *job, const struct timespec *until)
{
	int rc = 0;

	while (job->state != JOB_DONE) {
		if (rc == 0)
			rc = pthread_cond_clockwait(&job->cond, &w->lock, CLOCK_MONOTONIC, until);
		else
			pthread_cond_wait(&job->cond, &w->lock);
		if (rc != 0 && job->state == JOB_QUEUED) {
			unqueue(w, job);
			job->err = fail_set(&job->fail, E_STORE_UNAVAILABLE,
			    "the store is busy: the write waited too long");
			job->state = JOB_DONE;
		}
	}
}

enum err writer_write(struct writer *w, const struct store_batch *b, size_t *failed_at,
    struct fail *f)
{
	struct job job = { .b = b, .cond = PTHREAD_COND_INITIALIZER, .failed_at = b->n };
	struct timespec until = deadline_after(w->timeout_us);

	pthread_mutex_lock(&w->lock);
	if (enqueue(w, &job, &until))
		await(w, &job, &until);
	else
		job.err = fail_set(&job.fail, E_STORE_UNAVAILABLE, "the store is %s",
		    w->closing ? "closing" : "busy: too many writes wait");
	pthread_mutex_unlock(&w->lock);
	pthread_cond_destroy(&job.cond);
	*failed_at = job.failed_at;
	return job.err == OK ? OK : fail_set(f, job.err, "%s", job.fail.text);
}

int64_t writer_failed_at(const struct writer *w)
{
	return w->failed_at;
}

/* ---- open and close ----------------------------------------------------------------------- */

static int start_thread(struct writer *w)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, writer_thread, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

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
	if (e == OK && start_thread(w) != 0) {
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
