#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/migrate.h"

void assert_ok_at(enum err e, const struct fail *f, const char *file, int line)
{
	if (e != OK) {
		print_error("%s: %s\n", err_code(e), f != NULL ? f->text : "");
		_fail(file, line);
	}
}

void poll_again(void)
{
	nanosleep(&(struct timespec){ 0, 1000000 }, NULL); /* lint: poll */
}

void temp_make(char dir[64])
{
	snprintf(dir, 64, "/tmp/gateway-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

void temp_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void fixture_reopen(struct fixture *x)
{
	struct store_config c = { .url = x->url };
	struct fail f = { 0 };

	store_close(x->store);
	x->store = NULL;
	assert_ok(store_open(&x->store, &c, &f), &f);
}

void fixture_sqlite(struct fixture *x)
{
	*x = (struct fixture){ 0 };
	temp_make(x->dir);
	snprintf(x->url, sizeof x->url, "sqlite:%s/store.db", x->dir);
	arena_init(&x->arena, 64 << 20);
	fixture_reopen(x);
}

void fixture_sqlite_migrated(struct fixture *x)
{
	struct fail f = { 0 };

	fixture_sqlite(x);
	assert_ok(migrate_up(x->store, migrations_embedded, clock_wall(), NULL, &f), &f);
}

void fixture_release(struct fixture *x)
{
	store_close(x->store);
	arena_release(&x->arena);
	temp_remove(x->dir);
}

enum err fixture_write(struct store *s, const struct store_stmt *st, size_t n, struct fail *f)
{
	struct store_batch b = { id_new(clock_wall()), st, n };

	return store_write(s, &b, NULL, f);
}

void fixture_exec(struct store *s, struct store_stmt st)
{
	struct fail f = { 0 };

	assert_ok(fixture_write(s, &st, 1, &f), &f);
}

int64_t fixture_int(struct store *s, struct store_stmt st)
{
	struct store_rows r;
	struct fail f = { 0 };
	struct arena a;
	int64_t v;

	arena_init(&a, 1 << 20);
	assert_ok(store_read(s, STORE_LINEAR, &st, 1, &a, &r, &f), &f);
	assert_int_equal(r.nrows, 1);
	v = store_int(&r, 0, 0);
	arena_release(&a);
	return v;
}
