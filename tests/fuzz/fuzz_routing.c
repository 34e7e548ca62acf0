/* Routing documents, whatever they hold: no crash, each refusal lists its faults, and what is accepted
 * resolves to shards of its own, and is written so that reading it again gives the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "routing/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WRITTEN_MAX (64u << 20)

static json_t *parse(const void *p, size_t n)
{
	return json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
}

static void refused(enum err e, const struct fail *f)
{
	if (e != E_ROUTING_INVALID || json_array_size(json_object_get(f->details, "faults")) == 0)
		abort();
}

/* Every tenant that the document places is found on the shard that it names. */
static void resolves(const struct route_table *t, const json_t *doc)
{
	static const char *const sections[ROUTE__KINDS] = { "aggregate_placement",
		"projection_placement", "runner_placement" };

	for (int k = 0; k < ROUTE__KINDS; k++) {
		const char *tenant;
		json_t *shard;

		json_object_foreach(json_object_get(doc, sections[k]), tenant, shard) {
			const struct route_shard *s = route_resolve(t, (enum route_kind)k, str_c(tenant));

			if (s == NULL || !str_eqc(s->name, json_string_value(shard)) || s->n == 0)
				abort();
		}
	}
}

static void writes_the_same(const struct route_table *t)
{
	struct route_table *again;
	struct buf a, b;
	json_t *doc;

	buf_init(&a, WRITTEN_MAX);
	buf_init(&b, WRITTEN_MAX);
	if (route_table_write(t, &a) != OK)
		abort();
	doc = parse(a.p, a.n);
	if (doc == NULL || route_table_new(doc, &again, NULL) != OK ||
	    route_table_write(again, &b) != OK || !str_eq(buf_str(&a), buf_str(&b)))
		abort();
	route_table_unref(again);
	json_decref(doc);
	buf_release(&a);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	json_t *doc = parse(data, n);
	struct route_table *t = NULL;
	struct fail f = { 0 };
	enum err e;

	if (doc == NULL)
		return 0;
	e = route_table_new(doc, &t, &f);
	if (e == OK) {
		resolves(t, doc);
		writes_the_same(t);
	} else {
		refused(e, &f);
	}
	fail_clear(&f);
	route_table_unref(t);
	json_decref(doc);
	return 0;
}
