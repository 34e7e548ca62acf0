#include "routing/source.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/str.h"
#include "routing/store_source.h"
#include "routing/table.h"

#define DOCUMENT_MAX (64u << 20)

struct route_source {
	struct store *store;
	char *path; /* NULL: the store */
};

enum err route_source_new(struct store *s, const char *spec, struct route_source **out,
    struct fail *f)
{
	struct route_source *src = heap_zalloc(sizeof *src);
	bool file = strncmp(spec, "file:", 5) == 0;

	if (src == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	*out = src;
	src->store = s;
	if (!file && strcmp(spec, "store") != 0)
		return fail_set(f, E_CONFIG, "routing.source must be store or file:PATH, not %s", spec);
	if (!file)
		return OK;
	src->path = heap_strdup(spec + 5);
	return src->path != NULL ? OK : fail_set(f, E_NOMEM, "out of memory");
}

void route_source_free(struct route_source *src)
{
	if (src == NULL)
		return;
	heap_free(src->path);
	heap_free(src);
}

bool route_source_is_store(const struct route_source *src)
{
	return src->path == NULL;
}

static enum err load_file(const char *path, struct route_table **out, struct fail *f)
{
	json_error_t je;
	json_t *doc = json_load_file(path, JSON_REJECT_DUPLICATES, &je);
	enum err e;

	if (doc == NULL)
		return fail_set(f, E_ROUTING_INVALID, "%s: line %d, column %d: %s", path, je.line,
		    je.column, je.text);
	e = route_table_new(doc, out, f);
	json_decref(doc);
	return e != OK ? fail_wrap(f, "%s", path) : OK;
}

static enum err load_store(struct store *s, struct route_table **out, struct fail *f)
{
	struct route_revision r;
	struct arena a;
	json_error_t je;
	json_t *doc;
	enum err e;

	arena_init(&a, DOCUMENT_MAX);
	e = route_revision_get(s, 0, &a, &r, f);
	if (e == E_NOT_FOUND) {
		fail_clear(f);
		e = route_table_empty(out);
	} else if (e == OK) {
		doc = json_loadb(r.document.p, r.document.n, JSON_REJECT_DUPLICATES, &je);
		e = doc != NULL ? route_table_new(doc, out, f) : fail_set(f, E_ROUTING_INVALID,
		    "revision %lld in the store is not JSON: %s", (long long)r.revision, je.text);
		json_decref(doc);
	}
	arena_release(&a);
	return e;
}

enum err route_source_load(struct route_source *src, struct route_table **out, struct fail *f)
{
	return src->path != NULL ? load_file(src->path, out, f) : load_store(src->store, out, f);
}
