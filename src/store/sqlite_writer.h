/* The one writer of a SQLite file: a thread that takes all batches that wait, runs each in a
 * savepoint of its own, commits them with one fsync, and wakes each caller with its own outcome.
 * writer_write: any thread, blocks. */
#ifndef STORE_SQLITE_WRITER_H
#define STORE_SQLITE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct fail;
struct meter;
struct store_batch;
struct writer;

/* The file is made when it is missing. */
enum err writer_open(struct writer **w, const char *path, int64_t timeout_us, struct meter *m,
    struct fail *f);
/* When the disk last failed a write, clock_mono; 0: never. Any thread. */
int64_t writer_failed_at(const struct writer *w);
/* What waits is still written; no more is taken. */
void writer_stop(struct writer *w);
/* Nobody may call writer_write any more. */
void writer_close(struct writer *w);
/* As store_write. */
enum err writer_write(struct writer *w, const struct store_batch *b, size_t *failed_at,
    struct fail *f);

#endif
