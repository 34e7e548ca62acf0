/* Schema migrations: migrations/NNNN_name.sql embedded in the binary, each one atomic batch whose
 * first statement inserts its own row into schema_migrations(version, name, checksum, applied_at).
 * Two migrators at once: the loser's batch rolls back whole and it goes on with the next. kill -9
 * leaves either side of a migration, never the middle. Blocking; control lane or command line. */
#ifndef STORE_MIGRATE_H
#define STORE_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/migrations_embedded.h"

struct arena;
struct store;

enum migration_state { MIGRATION_PENDING, MIGRATION_APPLIED };

struct migration_status {
	int version;
	const char *name;
	enum migration_state state;
	int64_t applied_at; /* wall, microseconds; 0 when pending */
};

/* Applies what is pending, in order. *applied (may be NULL) counts what this call did. E_SCHEMA: the
 * store is newer than this program, a checksum differs, or a version was skipped; text says which
 * and what to do. `list` is migrations_embedded but for tests. */
enum err migrate_up(struct store *s, const struct migration *list, int64_t now, int *applied,
    struct fail *f);
/* One entry for each migration, in the arena. Fails with E_SCHEMA as migrate_up does. */
enum err migrate_status(struct store *s, const struct migration *list, struct arena *a,
    struct migration_status **out, size_t *n, struct fail *f);
/* OK when nothing is pending and all is as this program knows it; E_SCHEMA otherwise. */
enum err migrate_check(struct store *s, const struct migration *list, struct fail *f);

#endif
