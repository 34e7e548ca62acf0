#include "store/change.h"

#include "base/arena.h"

static const char *const kind_text[] = {
	[CHANGE_PRINCIPAL] = "principal", [CHANGE_SESSION] = "session", [CHANGE_ROLE] = "role",
	[CHANGE_TENANT] = "tenant", [CHANGE_KEY] = "key", [CHANGE_ROUTING] = "routing",
	[CHANGE_CREDENTIAL] = "credential",
};

const char *change_kind_text(enum change_kind kind)
{
	return kind_text[kind];
}

struct store_stmt change_stmt(enum change_kind kind, struct str key, int64_t now,
    struct store_val vals[3])
{
	vals[0] = SV_Z(kind_text[kind]);
	vals[1] = SV_BLOB(key.p != NULL ? key : STR(""));
	vals[2] = SV_INT(now);
	return (struct store_stmt){ .sql = "INSERT INTO change (kind, key, at) VALUES (?, ?, ?)",
		.v = vals, .n = 3, .expect = 1 };
}

/* Not max(seq): the newest rows may have been trimmed. */
const struct store_stmt change_seq_stmt = {
	.sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)"
};

enum err change_seq_read(struct store *s, int64_t *seq, struct fail *f)
{
	struct store_rows rows;
	struct arena a;
	enum err e;

	arena_init(&a, 4096);
	e = store_read(s, STORE_LINEAR, &change_seq_stmt, 1, &a, &rows, f);
	if (e == OK)
		*seq = store_int(&rows, 0, 0);
	arena_release(&a);
	return e;
}
