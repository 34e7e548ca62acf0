#include "iam/role_reader.h"

#include "base/arena.h"
#include "store/store.h"

enum { COL_ID, COL_NAME, COL_TENANT, COL_BUILT_IN, COL_VERSION };
enum { COL_ROLE, COL_RIGHT, COL_RESOURCE };

static const struct store_stmt reads[] = {
	{ .sql = "SELECT id, name, tenant, built_in, version FROM role ORDER BY id" },
	{ .sql = "SELECT role, \"right\", resource FROM role_grant ORDER BY role, \"right\", resource" },
};

/* Both lists are sorted by role: takes the grants of role `id` that begin at row *at. A grant
 * without its role is passed over. */
static void take_grants(const struct store_rows *rows, size_t *at, struct role_grant *all,
    struct role_def *d)
{
	d->grants = all + *at;
	for (; *at < rows->nrows; ++*at) {
		struct str role = store_str(rows, *at, COL_ROLE);
		size_t shorter = role.n < d->id.n ? role.n : d->id.n;
		int c = memcmp(role.p, d->id.p, shorter);

		if (c > 0 || (c == 0 && role.n > d->id.n))
			return;
		all[*at] = (struct role_grant){ store_str(rows, *at, COL_RIGHT),
			store_str(rows, *at, COL_RESOURCE) };
		if (c == 0 && role.n == d->id.n)
			d->n++;
		else
			d->grants = all + *at + 1;
	}
}

enum err role_read_all(struct store *s, struct arena *a, struct role_def **out, size_t *n,
    struct fail *f)
{
	struct store_rows rows[2];
	struct role_grant *grants;
	struct role_def *defs;
	size_t at = 0;
	enum err e = store_read(s, STORE_LINEAR, reads, 2, a, rows, f);

	if (e != OK)
		return e;
	defs = arena_zalloc(a, (rows[0].nrows + 1) * sizeof *defs);
	grants = arena_alloc(a, (rows[1].nrows + 1) * sizeof *grants);
	if (defs == NULL || grants == NULL)
		return fail_set(f, E_NOMEM, "no memory for the roles");
	for (size_t i = 0; i < rows[0].nrows; i++) {
		defs[i] = (struct role_def){ .id = store_str(&rows[0], i, COL_ID),
			.name = store_str(&rows[0], i, COL_NAME), .tenant = store_str(&rows[0], i, COL_TENANT),
			.built_in = store_int(&rows[0], i, COL_BUILT_IN) != 0,
			.version = store_int(&rows[0], i, COL_VERSION) };
		take_grants(&rows[1], &at, grants, &defs[i]);
	}
	*out = defs;
	*n = rows[0].nrows;
	return OK;
}
