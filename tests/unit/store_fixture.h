/* Stores for tests: a new SQLite file in a temporary folder, removed afterwards. Not a test. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "store/store.h"

/* A folder of its own for each call; removed with all in it by temp_remove. */
void temp_make(char dir[64]);
void temp_remove(const char *dir);

struct fixture {
	char dir[64];
	char url[512];
	struct store *store;
	struct arena arena;
};

/* A new, empty SQLite store / the same with all migrations applied. Fail the test on error. */
void fixture_sqlite(struct fixture *x);
void fixture_sqlite_migrated(struct fixture *x);
/* Opens x->url again (closes first what is open). */
void fixture_reopen(struct fixture *x);
void fixture_release(struct fixture *x);

/* store_write of n statements with a new op_id, at wall time. */
enum err fixture_write(struct store *s, const struct store_stmt *st, size_t n, struct fail *f);
/* One statement that must work. */
void fixture_exec(struct store *s, struct store_stmt st);
/* The integer that one statement yields (linearizable). */
int64_t fixture_int(struct store *s, struct store_stmt st);

/* Between two looks at a condition that is waited for: a millisecond. */
void poll_again(void);

#define assert_ok(e_, f_) assert_ok_at((e_), (f_), __FILE__, __LINE__)
void assert_ok_at(enum err e, const struct fail *f, const char *file, int line);

#endif
