/* A hash table from text to pointer that only grows. It owns copies of its keys, not its values.
 * Not locked: the owner's lock covers it. */
#ifndef NODE_DICT_H
#define NODE_DICT_H

#include <stddef.h>

struct dict_entry;
struct dict {
	struct dict_entry **slots;
	size_t nslots, used;
};

void *dict_get(const struct dict *d, const char *key);
/* Adds a key that is not there yet. */
void dict_add(struct dict *d, const char *key, void *value);

#endif
