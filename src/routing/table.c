#include "routing/table.h"

#include <endian.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/jsonw.h"
#include "base/radix.h"
#include "routing/document.h"
#include "routing/placements.h"
#include "routing/shard_set.h"

#define NAME_SHOWN 64

#define CACHE_LINE 64

struct route_table {
	struct route_part part[ROUTE__KINDS];
	int64_t revision;
	struct route_origin origin;
	char apart[CACHE_LINE]; /* every request of every worker counts, and all of them read the above */
	atomic_int refs;
};

static const char *const names[ROUTE__KINDS] = {
	[ROUTE_AGGREGATE] = "aggregate",
	[ROUTE_PROJECTION] = "projection",
	[ROUTE_RUNNER] = "runner",
};

const char *route_kind_name(enum route_kind k)
{
	return names[k];
}

bool route_kind_parse(struct str s, enum route_kind *out)
{
	for (int k = 0; k < ROUTE__KINDS; k++)
		if (str_eqc(s, names[k])) {
			*out = (enum route_kind)k;
			return true;
		}
	return false;
}

/* ---- building ------------------------------------------------------------------------------- */

static const struct route_part nothing = { .fallback = SHARD_NONE };

struct build {
	struct route_doc *doc;
	const struct route_part *base; /* of this kind */
	struct route_part *part;
	enum route_kind k;
	struct fail *f;
};

static enum err twice(struct build *b, const char *section, struct str name)
{
	int shown = (int)(name.n < NAME_SHOWN ? name.n : NAME_SHOWN);

	return fail_set(b->f, E_BAD_JSON, "%s: the member \"%.*s\" is there twice", section, shown, name.p);
}

/* Sorting has put them side by side. */
static enum err shard_twice(struct build *b, const struct shard_edit *v)
{
	while (!str_eq(v[0].name, v[1].name))
		v++;
	return twice(b, route_shards_section(b->k), v->name);
}

static enum err tenant_twice(struct build *b, const struct placement *v)
{
	while (!str_eq(v[0].tenant, v[1].tenant))
		v++;
	return twice(b, route_placement_section(b->k), v->tenant);
}

static void fault_unknown(struct build *b, struct str tenant, struct str shard)
{
	const char *name = arena_strz(&b->doc->arena, tenant);
	int shown = (int)(shard.n < NAME_SHOWN ? shard.n : NAME_SHOWN);

	faults_add(&b->doc->faults, AT_NAME(route_placement_section(b->k), name != NULL ? name : ""),
	    "unknown shard \"%.*s\"", shown, shard.p);
}

static enum err build_shards(struct build *b)
{
	struct route_doc_kind *k = &b->doc->kind[b->k];

	if (!shard_edits_sort(k->shards, k->nshards))
		return shard_twice(b, k->shards);
	return shard_set_apply(b->base->shards, b->k, !b->doc->patch || k->clear_shards, k->shards,
	    k->nshards, &b->part->shards);
}

/* The number of the shard that a placement names. Neighbours often name the same one. */
static uint32_t shard_of(struct build *b, const struct route_doc_placement *p, uint32_t last)
{
	const struct route_shard *s = shard_set_at(b->part->shards, last);

	if (p->shard.p == NULL)
		return SHARD_NONE;
	if (s != NULL && str_eq(s->name, p->shard))
		return last;
	last = shard_set_find(b->part->shards, p->shard);
	if (last == SHARD_NONE)
		fault_unknown(b, p->tenant, p->shard);
	return last;
}

/* The document's placements as changes of the map; "*" is set apart. *n: how many. */
static enum err changes_of(struct build *b, struct placement *v, size_t *n)
{
	const struct route_doc_kind *k = &b->doc->kind[b->k];
	uint32_t shard = SHARD_NONE;
	bool star = false;

	*n = 0;
	for (size_t i = 0; i < k->nplacements; i++) {
		const struct route_doc_placement *p = &k->placements[i];

		shard = shard_of(b, p, shard);
		if (!str_eqc(p->tenant, "*")) {
			v[(*n)++] = (struct placement){ p->tenant, placements_hash(p->tenant), shard };
			continue;
		}
		if (star)
			return twice(b, route_placement_section(b->k), p->tenant);
		star = true;
		b->part->fallback = shard;
	}
	return OK;
}

static enum err build_placements(struct build *b)
{
	const struct route_doc_kind *k = &b->doc->kind[b->k];
	bool fresh = !b->doc->patch || k->clear_placements;
	struct placement *v = heap_alloc(k->nplacements * sizeof *v);
	enum err e;
	size_t n;

	if (v == NULL)
		return E_NOMEM;
	if (!fresh)
		b->part->fallback = b->base->fallback;
	e = changes_of(b, v, &n);
	if (e == OK && b->doc->faults.n == 0)
		e = placements_sort(v, n);
	if (e == E_CONFLICT)
		e = tenant_twice(b, v);
	else if (e == OK && b->doc->faults.n == 0)
		e = placements_apply(fresh ? NULL : b->base->placements, v, n, &b->part->placements);
	heap_free(v);
	return e;
}

static void check_placed(void *arg, struct str tenant, uint32_t shard)
{
	struct build *b = arg;

	if (shard_set_at(b->part->shards, shard) == NULL)
		fault_unknown(b, tenant, shard_set_at(b->base->shards, shard)->name);
}

/* A patch that takes a shard away must not leave a tenant on it. */
static void check_orphans(struct build *b)
{
	const struct route_doc_kind *k = &b->doc->kind[b->k];
	bool some = k->clear_shards;

	for (size_t i = 0; i < k->nshards; i++)
		some |= k->shards[i].endpoints == NULL;
	if (!b->doc->patch || !some || b->doc->faults.n > 0)
		return;
	placements_each(b->part->placements, check_placed, b);
	if (b->part->fallback != SHARD_NONE)
		check_placed(b, STR("*"), b->part->fallback);
}

static void check_revision(struct route_doc *d)
{
	if (d->is_object && !d->has_revision && !d->odd_revision)
		faults_add(&d->faults, AT_SECTION("revision"), "the key revision is missing");
	else if (d->is_object && (d->odd_revision || d->revision < 1))
		faults_add(&d->faults, AT_SECTION("revision"), "it must be a whole number from 1");
}

static enum err build(const struct route_table *base, struct route_table *t, struct route_doc *d,
    struct fail *f)
{
	enum err e = OK;

	t->revision = d->revision;
	check_revision(d);
	for (int k = 0; e == OK && k < ROUTE__KINDS; k++) {
		struct build b = { d, base != NULL ? &base->part[k] : &nothing, &t->part[k],
			(enum route_kind)k, f };

		e = build_shards(&b);
		if (e == OK)
			e = build_placements(&b);
		if (e == OK)
			check_orphans(&b);
	}
	return e;
}

enum err route_table_build(const struct route_table *base, struct route_doc *doc,
    struct route_table **out, struct fail *f)
{
	struct route_table *t;
	enum err e = route_table_empty(&t), faulty;

	if (e != OK)
		return fail_set(f, e, "no memory for a routing table");
	e = build(base, t, doc, f);
	if (e != OK && e != E_BAD_JSON)
		fail_set(f, e, e == E_LIMIT ? "the routing document is too large"
		    : "no memory for a routing table");
	faulty = faults_end(&doc->faults, e == OK ? f : NULL);
	doc->faults = (struct faults){ 0 };
	if (e == OK)
		e = faulty;
	if (e == OK)
		*out = t;
	else
		route_table_unref(t);
	return e;
}

enum err route_table_read(char *text, size_t n, struct route_table **out, struct fail *f)
{
	struct route_doc d;
	enum err e = route_doc_read(text, n, false, &d, f);

	if (e != OK)
		return e;
	e = route_table_build(NULL, &d, out, f);
	route_doc_release(&d);
	return e;
}

enum err route_table_empty(struct route_table **out)
{
	struct route_table *t = heap_zalloc(sizeof *t);

	if (t == NULL)
		return E_NOMEM;
	atomic_init(&t->refs, 1);
	for (int k = 0; k < ROUTE__KINDS; k++)
		t->part[k] = nothing;
	*out = t;
	return OK;
}

struct route_table *route_table_ref(struct route_table *t)
{
	if (t != NULL)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void route_table_unref(struct route_table *t)
{
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (int k = 0; k < ROUTE__KINDS; k++) {
		placements_unref(t->part[k].placements);
		shard_set_unref(t->part[k].shards);
	}
	heap_free(t);
}

/* ---- reading -------------------------------------------------------------------------------- */

int64_t route_table_revision(const struct route_table *t)
{
	return t->revision;
}

const struct route_origin *route_table_origin(const struct route_table *t)
{
	return &t->origin;
}

void route_table_set_origin(struct route_table *t, const struct route_origin *o)
{
	t->origin = *o;
}

void route_table_renumber(struct route_table *t, int64_t revision)
{
	t->revision = revision;
}

const struct route_part *route_table_part(const struct route_table *t, enum route_kind kind)
{
	return &t->part[kind];
}

size_t route_table_size(const struct route_table *t)
{
	size_t n = 0;

	for (int k = 0; k < ROUTE__KINDS; k++)
		n += placements_count(t->part[k].placements) + shard_set_count(t->part[k].shards) +
		    (t->part[k].fallback != SHARD_NONE);
	return n;
}

const struct route_shard *route_resolve(const struct route_table *t, enum route_kind kind,
    struct str tenant)
{
	const struct route_part *p = &t->part[kind];
	uint32_t shard = placements_find(p->placements, tenant);

	return shard_set_at(p->shards, shard != SHARD_NONE ? shard : p->fallback);
}

size_t route_shard_count(const struct route_table *t, enum route_kind kind)
{
	return shard_set_count(t->part[kind].shards);
}

const struct route_shard *route_shard_at(const struct route_table *t, enum route_kind kind, size_t i)
{
	return shard_set_sorted(t->part[kind].shards, i);
}

const struct route_shard *route_shard_find(const struct route_table *t, enum route_kind kind,
    struct str name)
{
	const struct shard_set *s = t->part[kind].shards;

	return shard_set_at(s, shard_set_find(s, name));
}

/* ---- writing -------------------------------------------------------------------------------- */

static void write_endpoint(struct jsonw *w, const struct route_endpoint *e)
{
	bool own_admin = e->admin.p != e->url.p;

	if (!own_admin && e->weight == 1) {
		jsonw_str(w, e->url);
		return;
	}
	jsonw_obj(w);
	if (own_admin)
		jsonw_kstr(w, "admin", e->admin);
	jsonw_kstr(w, "url", e->url);
	if (e->weight != 1)
		jsonw_kint(w, "weight", e->weight);
	jsonw_obj_end(w);
}

void route_shard_write(struct jsonw *w, const struct route_shard *s)
{
	jsonw_arr(w);
	for (size_t i = 0; i < s->n; i++)
		write_endpoint(w, &s->endpoints[i]);
	jsonw_arr_end(w);
}

static void write_shards(struct jsonw *w, const struct shard_set *s)
{
	jsonw_obj(w);
	for (size_t i = 0; i < shard_set_count(s); i++) {
		const struct route_shard *one = shard_set_sorted(s, i);

		jsonw_key(w, one->name.p);
		route_shard_write(w, one);
	}
	jsonw_obj_end(w);
}

/* Placements on their way into the order of names: the first eight bytes decide most of it. */
struct sorting {
	struct radix_item *items; /* of names */
	struct placed {
		const char *tenant;
		uint32_t shard;
	} *v;
	size_t n;
};

static void add_placed(void *arg, struct str tenant, uint32_t shard)
{
	struct sorting *s = arg;
	struct placed *p = &s->v[s->n];
	uint64_t first = 0;

	memcpy(&first, tenant.p, tenant.n < sizeof first ? tenant.n : sizeof first);
	*p = (struct placed){ tenant.p, shard };
	s->items[s->n++] = (struct radix_item){ be64toh(first), p };
}

static int by_tenant(const void *a, const void *b)
{
	const struct placed *x = ((const struct radix_item *)a)->p;
	const struct placed *y = ((const struct radix_item *)b)->p;

	return strcmp(x->tenant, y->tenant);
}

static bool sort_names(struct radix_item *v, size_t n)
{
	if (!radix_sort(v, n))
		return false;
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1; j < n && v[j].key == v[i].key; j++)
			;
		if (j - i > 1)
			qsort(v + i, j - i, sizeof *v, by_tenant);
	}
	return true;
}

static enum err write_placements(struct jsonw *w, const struct route_part *p)
{
	const struct route_shard *fallback = shard_set_at(p->shards, p->fallback);
	size_t n = placements_count(p->placements);
	struct sorting s = { heap_alloc(n * sizeof *s.items), heap_alloc(n * sizeof *s.v), 0 };
	bool ok = s.items != NULL && s.v != NULL;

	if (ok) {
		placements_each(p->placements, add_placed, &s);
		ok = sort_names(s.items, s.n);
	}
	jsonw_obj(w);
	if (fallback != NULL) /* "*" sorts before any tenant */
		jsonw_kstr(w, "*", fallback->name);
	for (size_t i = 0; ok && i < s.n; i++) {
		const struct placed *one = s.items[i].p;

		jsonw_kstr(w, one->tenant, shard_set_at(p->shards, one->shard)->name);
	}
	jsonw_obj_end(w);
	heap_free(s.items);
	heap_free(s.v);
	return ok ? OK : E_NOMEM;
}

enum err route_table_write(const struct route_table *t, struct buf *out)
{
	struct jsonw w = jsonw_on(out);
	enum err e = OK;

	jsonw_obj(&w);
	for (int k = 0; e == OK && k < ROUTE__KINDS; k++) {
		if (k == ROUTE_RUNNER) /* where it sorts */
			jsonw_kint(&w, "revision", t->revision);
		jsonw_key(&w, route_placement_section((enum route_kind)k));
		e = write_placements(&w, &t->part[k]);
		jsonw_key(&w, route_shards_section((enum route_kind)k));
		write_shards(&w, t->part[k].shards);
	}
	jsonw_obj_end(&w);
	return e != OK ? e : buf_err(out);
}
