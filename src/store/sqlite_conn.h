/* One connection to a SQLite file: settings, prepared statements by their text, values in and out,
 * errors in our words. Knows nothing of batches. One thread at a time; interrupt from any. */
#ifndef STORE_SQLITE_CONN_H
#define STORE_SQLITE_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/err.h"
#include "store/store.h"

#define CONN_BUCKETS 128
#define CONN_STATEMENTS_MAX 512

struct conn_stmt;

struct conn {
	sqlite3 *db;
	struct conn_stmt *bucket[CONN_BUCKETS];
	size_t cached;
	int64_t busy_us;       /* how long to wait for another process's lock */
	int64_t busy_until;    /* monotonic, of the wait under way */
	bool disk_failed;      /* set by an error of the disk; the owner clears it */
	atomic_bool *closing;  /* ends every wait; may be NULL */
};

/* Opens `path`; `create`: makes the file (0600) when it is missing. A writer sets the file to WAL. */
enum err conn_open(struct conn *c, const char *path, bool writer, bool create, int64_t busy_us,
    atomic_bool *closing, struct fail *f);
void conn_close(struct conn *c);

/* Runs a statement that has no parameters and whose rows do not matter; not cached. Returns a
 * SQLite result code. */
int conn_exec(struct conn *c, const char *sql);
/* The same for literal text that comes again and again. */
int conn_exec_cached(struct conn *c, const char *sql);
/* Runs a statement to its end. rows NULL: they are thrown away. *changed: rows affected (DML). */
enum err conn_run(struct conn *c, const struct store_stmt *st, struct arena *a,
    struct store_rows *rows, int *changed, struct fail *f);
/* The error of the connection's last call, which returned rc. */
enum err conn_error(struct conn *c, int rc, struct fail *f);

#endif
