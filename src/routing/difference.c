#include "routing/difference.h"

#include <stdlib.h>

#include "base/heap.h"
#include "base/jsonw.h"
#include "routing/document.h"
#include "routing/placements.h"
#include "routing/shard_set.h"

/* ---- finding --------------------------------------------------------------------------------- */

static void add(struct route_diff *d, const struct route_change *c)
{
	size_t cap = d->cap > 0 ? d->cap * 2 : 16;
	struct route_change *v;

	if (d->nomem)
		return;
	if (d->n == d->cap) {
		v = heap_realloc(d->v, cap * sizeof *v);
		if (v == NULL) {
			d->nomem = true;
			return;
		}
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n++] = *c;
}

struct finding {
	struct route_diff *d;
	const struct route_part *a, *b;
	enum route_kind k;
};

static void placement(void *arg, struct str tenant, uint32_t from, uint32_t to)
{
	const struct finding *x = arg;
	const struct route_change c = { x->k, false, tenant, shard_set_at(x->a->shards, from),
		shard_set_at(x->b->shards, to) };

	if (c.from == c.to || (c.from != NULL && c.to != NULL && str_eq(c.from->name, c.to->name)))
		return;
	add(x->d, &c);
}

/* Both sets lie in the order of names. */
static void shards(const struct finding *x)
{
	size_t i = 0, j = 0, n = shard_set_count(x->a->shards), m = shard_set_count(x->b->shards);

	while (i < n || j < m) {
		const struct route_shard *a = i < n ? shard_set_sorted(x->a->shards, i) : NULL;
		const struct route_shard *b = j < m ? shard_set_sorted(x->b->shards, j) : NULL;
		int c = a == NULL ? 1 : b == NULL ? -1 : strcmp(a->name.p, b->name.p);
		const struct route_change change = { x->k, true, c <= 0 ? a->name : b->name,
			c <= 0 ? a : NULL, c >= 0 ? b : NULL };

		i += c <= 0;
		j += c >= 0;
		if (!shards_same(change.from, change.to))
			add(x->d, &change);
	}
}

static int in_order(const void *a, const void *b)
{
	const struct route_change *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind > y->kind ? 1 : -1;
	if (x->is_shard != y->is_shard)
		return x->is_shard ? 1 : -1;
	return strcmp(x->name.p, y->name.p);
}

enum err route_diff_make(const struct route_table *from, const struct route_table *to,
    struct route_diff *out)
{
	*out = (struct route_diff){ 0 };
	for (int k = 0; k < ROUTE__KINDS; k++) {
		struct finding x = { out, route_table_part(from, (enum route_kind)k),
			route_table_part(to, (enum route_kind)k), (enum route_kind)k };

		placements_diff(x.a->placements, x.b->placements, placement, &x);
		placement(&x, STR("*"), x.a->fallback, x.b->fallback);
		if (x.a->shards != x.b->shards)
			shards(&x);
	}
	if (out->n > 1)
		qsort(out->v, out->n, sizeof *out->v, in_order);
	return out->nomem ? E_NOMEM : OK;
}

void route_diff_release(struct route_diff *d)
{
	heap_free(d->v);
	*d = (struct route_diff){ 0 };
}

/* ---- writing --------------------------------------------------------------------------------- */

const char *route_change_section(const struct route_change *c)
{
	return c->is_shard ? route_shards_section(c->kind) : route_placement_section(c->kind);
}

void route_change_write(struct jsonw *w, const struct route_change *c, const struct route_shard *side)
{
	if (side == NULL)
		jsonw_null(w);
	else if (c->is_shard)
		route_shard_write(w, side);
	else
		jsonw_str(w, side->name);
}

static bool same_section(const struct route_change *a, const struct route_change *b)
{
	return a->kind == b->kind && a->is_shard == b->is_shard;
}

/* The section that begins at i; returns where the next one does. */
static size_t write_section(struct jsonw *w, const struct route_diff *d, enum route_side side,
    size_t i)
{
	const struct route_change *first = &d->v[i];

	jsonw_key(w, route_change_section(first));
	jsonw_obj(w);
	for (; i < d->n && same_section(first, &d->v[i]); i++) {
		const struct route_shard *s = side == ROUTE_BEFORE ? d->v[i].from : d->v[i].to;

		if (s == NULL && side != ROUTE_PATCH)
			continue;
		jsonw_key(w, d->v[i].name.p);
		route_change_write(w, &d->v[i], s);
	}
	jsonw_obj_end(w);
	return i;
}

enum err route_diff_write(const struct route_diff *d, enum route_side side, int64_t revision,
    struct buf *out)
{
	struct jsonw w = jsonw_on(out);
	bool numbered = false;

	jsonw_obj(&w);
	for (size_t i = 0; i < d->n;) {
		if (!numbered && d->v[i].kind == ROUTE_RUNNER) { /* where it sorts */
			jsonw_kint(&w, "revision", revision);
			numbered = true;
		}
		i = write_section(&w, d, side, i);
	}
	if (!numbered)
		jsonw_kint(&w, "revision", revision);
	jsonw_obj_end(&w);
	return buf_err(out);
}
