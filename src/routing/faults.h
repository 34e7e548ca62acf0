/* The faults of a routing document, gathered until all have been seen: each with the place (a JSON
 * pointer, RFC 6901) and what is wrong there. Not thread-safe; lives as long as one validation. */
#ifndef ROUTING_FAULTS_H
#define ROUTING_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FAULTS_MAX 100 /* listed; the others are counted */

struct json_t;

struct faults {
	struct json_t *list;
	size_t n;
	bool nomem;
	char first[256];
};

/* A place: "/section", "/section/name", "/section/name/index", ".../member"; what is NULL or
 * negative ends it. */
struct fault_at {
	const char *section, *name;
	int index;
	const char *member;
};
#define AT_SECTION(s) (struct fault_at){ (s), NULL, -1, NULL }
#define AT_NAME(s, name_) (struct fault_at){ (s), (name_), -1, NULL }

void faults_add(struct faults *fs, struct fault_at at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* OK when there were none; else sets f to E_ROUTING_INVALID with details {"faults":[...]} (and
 * "more": how many were not listed). Releases fs either way. */
enum err faults_end(struct faults *fs, struct fail *f);

#endif
