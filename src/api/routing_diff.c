#include "api/routing_diff.h"

#include <jansson.h>
#include <stdlib.h>

static void write_value(struct jsonw *w, const char *key, const json_t *v)
{
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;

	jsonw_key(w, key);
	if (text != NULL)
		jsonw_raw(w, str_c(text));
	else
		jsonw_null(w);
	free(text);
}

/* "~" and "/" of a name are escaped in a pointer. */
static void write_path(struct jsonw *w, const char *section, const char *name)
{
	char path[1024];
	size_t n = 0;

	path[n++] = '/';
	for (const char *p = section; *p != '\0' && n < 100; p++)
		path[n++] = *p;
	path[n++] = '/';
	for (const char *p = name; *p != '\0' && n < sizeof path - 2; p++) {
		if (*p == '~' || *p == '/') {
			path[n++] = '~';
			path[n++] = *p == '~' ? '0' : '1';
		} else {
			path[n++] = *p;
		}
	}
	jsonw_kstr(w, "path", str_n(path, n));
}

static void compare(struct jsonw *w, const char *section, const char *name, const json_t *a,
    const json_t *b)
{
	if (a != NULL && b != NULL && json_equal(a, b))
		return;
	jsonw_obj(w);
	jsonw_kz(w, "op", a == NULL ? "add" : b == NULL ? "remove" : "replace");
	write_path(w, section, name);
	write_value(w, "from", a);
	write_value(w, "to", b);
	jsonw_obj_end(w);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of both objects, sorted, each once; *n of them, NULL without memory. */
static const char **names_of(json_t *a, json_t *b, size_t *n)
{
	const char **names = malloc((json_object_size(a) + json_object_size(b) + 1) * sizeof *names);
	const char *name;
	json_t *v;

	*n = 0;
	if (names == NULL)
		return NULL;
	json_object_foreach(a, name, v)
		names[(*n)++] = name;
	json_object_foreach(b, name, v)
		if (json_object_get(a, name) == NULL)
			names[(*n)++] = name;
	qsort(names, *n, sizeof *names, by_name);
	return names;
}

static enum err compare_sections(struct jsonw *w, const char *section, json_t *a, json_t *b)
{
	size_t n;
	const char **names = names_of(a, b, &n);

	if (names == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < n; i++)
		compare(w, section, names[i], json_object_get(a, names[i]), json_object_get(b, names[i]));
	free(names);
	return OK;
}

enum err routing_diff_write(struct jsonw *w, struct str from, struct str to)
{
	json_t *a = json_loadb(from.p, from.n, 0, NULL), *b = json_loadb(to.p, to.n, 0, NULL);
	size_t n = 0;
	const char **sections = names_of(a, b, &n);
	enum err e = a == NULL || b == NULL || sections == NULL ? E_NOMEM : OK;

	jsonw_arr(w);
	for (size_t i = 0; e == OK && i < n; i++)
		if (strcmp(sections[i], "revision") != 0)
			e = compare_sections(w, sections[i], json_object_get(a, sections[i]),
			    json_object_get(b, sections[i]));
	jsonw_arr_end(w);
	free(sections);
	json_decref(a);
	json_decref(b);
	return e;
}
