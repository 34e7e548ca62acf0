/* Routing documents and patches of them, whatever they hold: no crash, each refusal lists its faults, and
 * what is accepted resolves to shards of its own, and is written so that reading it again gives the same
 * bytes. A second document behind a NUL is a merge patch of the first: it gives what merging the JSON
 * gives, and the difference that is then found gives it again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "routing/difference.h"
#include "routing/document.h"
#include "routing/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WRITTEN_MAX (64u << 20)

#define CHECK(x) \
	do { \
		if (!(x)) \
			abort(); \
	} while (0)

/* NULL: refused, and then for a reason. The text is not touched. */
static struct route_table *build(const struct route_table *base, struct str text, bool patch)
{
	char *copy = malloc(text.n + 1);
	struct route_table *t = NULL;
	struct fail f = { 0 };
	struct route_doc d;
	enum err e;

	memcpy(copy, text.p, text.n);
	e = route_doc_read(copy, text.n, patch, &d, &f);
	if (e == OK) {
		e = route_table_build(base, &d, &t, &f);
		route_doc_release(&d);
	}
	CHECK(e == OK || e == E_BAD_JSON || e == E_ROUTING_INVALID);
	CHECK(e != E_ROUTING_INVALID || json_array_size(json_object_get(f.details, "faults")) > 0);
	fail_clear(&f);
	free(copy);
	return t;
}

static struct buf written(const struct route_table *t)
{
	struct buf b;

	buf_init(&b, WRITTEN_MAX);
	CHECK(route_table_write(t, &b) == OK);
	return b;
}

/* Takes b. */
static void is_written_so(struct route_table *t, struct buf *b)
{
	struct buf a = written(t);

	CHECK(str_eq(buf_str(&a), buf_str(b)));
	buf_release(&a);
	buf_release(b);
}

/* Every tenant that the document places is found on the shard that it names. */
static void resolves(const struct route_table *t, const json_t *doc)
{
	for (int k = 0; k < ROUTE__KINDS; k++) {
		const char *tenant;
		json_t *shard;

		json_object_foreach(json_object_get(doc, route_placement_section((enum route_kind)k)), tenant,
		    shard) {
			const struct route_shard *s = route_resolve(t, (enum route_kind)k, str_c(tenant));

			CHECK(s != NULL && str_eqc(s->name, json_string_value(shard)) && s->n > 0);
		}
	}
}

/* RFC 7396. A new reference. */
static json_t *merge(const json_t *target, json_t *patch)
{
	json_t *out, *v;
	const char *name;

	if (!json_is_object(patch))
		return json_incref(patch);
	out = json_is_object(target) ? json_copy((json_t *)(uintptr_t)target) : json_object();
	json_object_foreach(patch, name, v) {
		if (json_is_null(v))
			json_object_del(out, name);
		else
			json_object_set_new(out, name, merge(json_object_get(out, name), v));
	}
	return out;
}

static void again_by_difference(const struct route_table *base, const struct route_table *t)
{
	struct buf patch, want = written(t);
	struct route_table *again;
	struct route_diff d;

	buf_init(&patch, WRITTEN_MAX);
	CHECK(route_diff_make(base, t, &d) == OK);
	CHECK(route_diff_write(&d, ROUTE_PATCH, route_table_revision(t), &patch) == OK);
	again = build(base, buf_str(&patch), true);
	CHECK(again != NULL);
	is_written_so(again, &want);
	route_table_unref(again);
	route_diff_release(&d);
	buf_release(&patch);
}

static void patch_it(const struct route_table *base, struct str text)
{
	struct route_table *t = build(base, text, true), *merged;
	json_t *patch = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL), *doc, *both;
	struct buf b = written(base), want;
	char *z;

	doc = json_loadb(b.p, b.n, 0, NULL);
	json_object_del(doc, "revision");
	both = json_is_object(patch) ? merge(doc, patch) : NULL;
	z = both != NULL ? json_dumps(both, 0) : NULL;
	CHECK(t == NULL || z != NULL);
	merged = z != NULL ? build(NULL, str_c(z), false) : NULL;
	CHECK(t == NULL || merged != NULL);
	if (t != NULL) {
		want = written(merged);
		is_written_so(t, &want);
		again_by_difference(base, t);
		again_by_difference(t, base);
	}
	route_table_unref(merged);
	route_table_unref(t);
	json_decref(patch);
	json_decref(doc);
	json_decref(both);
	buf_release(&b);
	free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest, text = str_cut(str_n((const char *)data, n), '\0', &rest);
	struct route_table *t = build(NULL, text, false), *again;
	json_t *doc;
	struct buf b;

	if (t == NULL)
		return 0;
	doc = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	CHECK(doc != NULL);
	resolves(t, doc);
	b = written(t);
	again = build(NULL, buf_str(&b), false);
	CHECK(again != NULL);
	is_written_so(again, &b);
	if (rest.p != NULL)
		patch_it(t, rest);
	route_table_unref(again);
	route_table_unref(t);
	json_decref(doc);
	return 0;
}
