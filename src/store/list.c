#include "store/list.h"

#include <string.h>

#include "base/arena.h"

enum err store_list(struct store *s, enum store_level level, const struct store_stmt *q, struct arena *a,
    store_item *item, size_t size, void *out, size_t *n, struct fail *f)
{
	struct store_rows rows;
	char *items;
	enum err e = store_read(s, level, q, 1, a, &rows, f);

	if (e != OK)
		return e;
	items = arena_alloc(a, (rows.nrows + 1) * size);
	if (items == NULL)
		return fail_code(f, E_NOMEM);
	for (size_t i = 0; i < rows.nrows; i++)
		item(&rows, i, items + i * size);
	memcpy(out, &items, sizeof items);
	*n = rows.nrows;
	return OK;
}

enum err store_one(struct store *s, enum store_level level, const struct store_stmt *q, struct arena *a,
    store_item *item, const char *none, void *out, struct fail *f)
{
	struct store_rows rows;
	enum err e = store_read(s, level, q, 1, a, &rows, f);

	if (e != OK)
		return e;
	if (rows.nrows == 0)
		return fail_set(f, E_NOT_FOUND, "%s", none);
	item(&rows, 0, out);
	return OK;
}
