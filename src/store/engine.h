/* What an engine of the store offers; store.c alone calls it. An engine is thread-safe, blocks, and
 * has been given checked statements: text is UTF-8, sql is not NULL. */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* Every engine's struct begins with this. */
struct engine {
	const struct engine_ops *ops;
};

struct engine_ops {
	enum err (*read)(struct engine *e, enum store_level level, const struct store_stmt *stmts,
	    size_t n, struct arena *a, struct store_rows *out, struct fail *f);
	enum err (*write)(struct engine *e, const struct store_batch *b, size_t *failed_at,
	    struct fail *f);
	enum err (*tidy)(struct engine *e, int64_t now, struct fail *f);
	bool (*writable)(struct engine *e); /* NULL: nothing is known that speaks against it */
	void (*stop)(struct engine *e);  /* calls under way and to come fail soon */
	void (*close)(struct engine *e); /* frees; no call is under way any more */
};

/* Counts the commits of an engine. Any thread. */
struct meter;
void meter_commit(struct meter *m, size_t batches);

/* `rest` is the URL behind "sqlite:" or "rqlite:"; the configuration is complete (no zeros). */
enum err sqlite_open(struct engine **e, const struct store_config *c, const char *rest,
    struct meter *m, struct fail *f);
enum err rqlite_open(struct engine **e, const struct store_config *c, const char *rest,
    struct meter *m, struct fail *f);

/* The error for what SQLite says about a statement, alike on both engines: constraint, missing
 * table or column, disk full, or E_INTERNAL (a fault in our SQL). */
enum err engine_sql_error(const char *message, struct fail *f);
/* What a batch returns when the guard of `st` failed. */
enum err engine_guard_error(const struct store_stmt *st, size_t at, struct fail *f);

#endif
