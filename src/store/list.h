/* Rows as items of a type: what every list, and every look-up by key, of a module that owns a table ends
 * in. The module has the SQL and a function that makes an item of a row. Blocking: control lane. */
#ifndef STORE_LIST_H
#define STORE_LIST_H

#include <stddef.h>

#include "store/store.h"

/* Makes the item of row i; strings may view the rows. */
typedef void store_item(const struct store_rows *r, size_t i, void *item);

/* All rows of q in *out (T **), an array in the arena, never NULL, and their number. */
#define STORE_LIST(s, level, q, a, item, out, n, f) \
	store_list((s), (level), (q), (a), (item), sizeof **(out), (out), (n), (f))
enum err store_list(struct store *s, enum store_level level, const struct store_stmt *q, struct arena *a,
    store_item *item, size_t size, void *out, size_t *n, struct fail *f);

/* The first row of q in *out (T *). E_NOT_FOUND, with the text, when there is none. */
enum err store_one(struct store *s, enum store_level level, const struct store_stmt *q, struct arena *a,
    store_item *item, const char *none, void *out, struct fail *f);

#endif
