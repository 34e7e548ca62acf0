#include "routing/table.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/jsonw.h"
#include "base/siphash.h"
#include "routing/faults.h"
#include "routing/url.h"

#define NAME_MAX_LEN 64
#define WEIGHT_MAX 100
#define SHARDS_MAX (1u << 26)
#define TEXT_MAX (512u << 20)

/* Where a tenant lives: 8 bytes, so that the table of 100,000 tenants stays in the cache. */
struct placement {
	uint32_t off; /* of the tenant's name in `text` */
	uint32_t len : 6, shard : 26;
};

/* A frozen hash table: placements lie in the order of their bucket, and start[b] is the first of
 * bucket b. */
struct kind {
	struct route_shard *shards; /* sorted by name */
	size_t nshards;
	struct route_endpoint *endpoints; /* of all shards */
	struct placement *placements;
	uint32_t *start; /* mask + 2 entries */
	size_t nplacements, mask;
	const struct route_shard *fallback; /* placement of "*" */
};

struct route_table {
	atomic_int refs;
	int64_t revision;
	struct siphash_key key;
	char *text; /* all strings, each with a NUL */
	size_t used, cap;
	struct kind kind[ROUTE__KINDS];
};

static const struct {
	const char *name, *placement, *shards;
} names[ROUTE__KINDS] = {
	[ROUTE_AGGREGATE] = { "aggregate", "aggregate_placement", "aggregate_shards" },
	[ROUTE_PROJECTION] = { "projection", "projection_placement", "projection_shards" },
	[ROUTE_RUNNER] = { "runner", "runner_placement", "runner_shards" },
};

const char *route_kind_name(enum route_kind k)
{
	return names[k].name;
}

bool route_kind_parse(struct str s, enum route_kind *out)
{
	for (int k = 0; k < ROUTE__KINDS; k++)
		if (str_eqc(s, names[k].name)) {
			*out = (enum route_kind)k;
			return true;
		}
	return false;
}

/* ---- building ------------------------------------------------------------------------------- */

struct build {
	struct route_table *t;
	struct faults faults;
	enum route_kind k;
};

/* An upper bound of the bytes that the strings of v take, each with its NUL. */
static size_t text_bytes(const json_t *v)
{
	size_t n = 0, i;
	const char *key;
	json_t *m;

	if (json_is_string(v))
		return json_string_length(v) + 1;
	json_array_foreach((json_t *)v, i, m)
		n += text_bytes(m);
	json_object_foreach((json_t *)v, key, m)
		n += strlen(key) + 1 + text_bytes(m);
	return n;
}

static struct str keep(struct route_table *t, const char *z)
{
	struct str s = { t->text + t->used, strlen(z) };

	memcpy(t->text + t->used, z, s.n + 1);
	t->used += s.n + 1;
	return s;
}

static bool shard_name_ok(const char *z)
{
	size_t n = strlen(z);

	if (n == 0 || n > NAME_MAX_LEN)
		return false;
	for (; *z != '\0'; z++)
		if (*z <= ' ' || *z > '~' || *z == '"' || *z == '\\')
			return false;
	return true;
}

/* The string member, NULL with a fault when it has another type, NULL without when it is absent. */
static const char *member_text(struct build *b, const json_t *o, struct fault_at at,
    const char *member)
{
	const json_t *v = json_object_get(o, member);

	at.member = member;
	if (v != NULL && !json_is_string(v))
		faults_add(&b->faults, at, "it must be a string");
	return json_string_value(v);
}

static void set_url(struct build *b, struct fault_at at, const char *url, struct route_endpoint *e)
{
	const char *bad;

	e->url = keep(b->t, url);
	bad = route_url_parse(e->url, e);
	if (bad != NULL)
		faults_add(&b->faults, at, "bad URL: %s", bad);
}

static void set_admin(struct build *b, struct fault_at at, const char *url,
    struct route_endpoint *e)
{
	struct route_endpoint probe = { 0 };
	const char *bad;

	e->admin = keep(b->t, url);
	bad = route_url_parse(e->admin, &probe);
	if (bad != NULL)
		faults_add(&b->faults, at, "bad URL: %s", bad);
	else if (probe.scheme != SCHEME_HTTP && probe.scheme != SCHEME_HTTPS)
		faults_add(&b->faults, at, "bad URL: the scheme of an admin URL must be http or https");
}

static void set_weight(struct build *b, struct fault_at at, const json_t *w,
    struct route_endpoint *e)
{
	if (!json_is_integer(w) || json_integer_value(w) < 1 || json_integer_value(w) > WEIGHT_MAX)
		faults_add(&b->faults, at, "it must be a whole number from 1 to %d", WEIGHT_MAX);
	else
		e->weight = (unsigned)json_integer_value(w);
}

static void unknown_members(struct build *b, const json_t *o, struct fault_at at)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v)
		if (strcmp(key, "url") != 0 && strcmp(key, "admin") != 0 && strcmp(key, "weight") != 0) {
			at.member = key;
			faults_add(&b->faults, at, "unknown key; known are url, admin, weight");
		}
}

static void build_endpoint(struct build *b, struct fault_at at, const json_t *v,
    struct route_endpoint *e)
{
	const char *url = json_string_value(v), *admin = NULL;
	const json_t *weight;

	*e = (struct route_endpoint){ .weight = 1 };
	if (json_is_object(v)) {
		unknown_members(b, v, at);
		if (json_object_get(v, "url") == NULL)
			faults_add(&b->faults, at, "the key url is missing");
		url = member_text(b, v, at, "url");
		admin = member_text(b, v, at, "admin");
		weight = json_object_get(v, "weight");
		at.member = "weight";
		if (weight != NULL)
			set_weight(b, at, weight, e);
	} else if (url == NULL) {
		faults_add(&b->faults, at, "an endpoint must be a URL or an object with url");
	}
	at.member = json_is_object(v) ? "url" : NULL;
	if (url != NULL)
		set_url(b, at, url, e);
	at.member = "admin";
	if (admin != NULL)
		set_admin(b, at, admin, e);
	else
		e->admin = e->url;
}

static void build_shard(struct build *b, const char *name, const json_t *list,
    struct route_shard *s, struct route_endpoint *endpoints)
{
	const char *section = names[b->k].shards;

	*s = (struct route_shard){ .kind = b->k, .name = keep(b->t, name), .endpoints = endpoints,
		.n = json_array_size(list) };
	if (!shard_name_ok(name))
		faults_add(&b->faults, AT_NAME(section, name),
		    "a shard's name must be 1 to %d visible ASCII characters without \" and \\", NAME_MAX_LEN);
	if (!json_is_array(list) || s->n == 0)
		faults_add(&b->faults, AT_NAME(section, name),
		    "a shard must be a list of at least one endpoint");
	for (size_t i = 0; i < s->n; i++)
		build_endpoint(b, (struct fault_at){ section, name, (int)i, NULL },
		    json_array_get(list, i), &endpoints[i]);
}

static int by_name(const void *a, const void *b)
{
	const struct route_shard *x = a, *y = b;

	return strcmp(x->name.p, y->name.p);
}

/* The member when it is an object, NULL when it is absent or, with a fault, something else. */
static json_t *section(struct build *b, const json_t *doc, const char *name)
{
	json_t *v = json_object_get(doc, name);

	if (v == NULL || json_is_object(v))
		return v;
	faults_add(&b->faults, AT_SECTION(name), "it must be an object");
	return NULL;
}

static enum err build_shards(struct build *b, const json_t *doc)
{
	struct kind *k = &b->t->kind[b->k];
	json_t *shards = section(b, doc, names[b->k].shards), *list;
	size_t endpoints = 0;
	const char *name;

	k->nshards = json_object_size(shards);
	if (k->nshards == 0)
		return OK;
	if (k->nshards > SHARDS_MAX)
		return E_LIMIT;
	json_object_foreach(shards, name, list)
		endpoints += json_array_size(list);
	k->shards = heap_alloc(k->nshards * sizeof *k->shards);
	k->endpoints = heap_alloc((endpoints + 1) * sizeof *k->endpoints);
	if (k->shards == NULL || k->endpoints == NULL)
		return E_NOMEM;
	endpoints = 0;
	k->nshards = 0;
	json_object_foreach(shards, name, list) {
		build_shard(b, name, list, &k->shards[k->nshards++], k->endpoints + endpoints);
		endpoints += json_array_size(list);
	}
	qsort(k->shards, k->nshards, sizeof *k->shards, by_name);
	return OK;
}

/* The shard of a placement's value, or NULL with a fault. */
static struct route_shard *placed_on(struct build *b, const char *tenant, const json_t *v)
{
	struct kind *k = &b->t->kind[b->k];
	struct fault_at at = AT_NAME(names[b->k].placement, tenant);
	struct route_shard want = { .name = str_c(json_string_value(v)) }, *s = NULL;

	if (!str_tenant(str_c(tenant)) && strcmp(tenant, "*") != 0)
		faults_add(&b->faults, at, "a tenant must match [a-z0-9][a-z0-9-]{0,62} or be *");
	if (want.name.p == NULL) {
		faults_add(&b->faults, at, "it must be the name of a shard");
		return NULL;
	}
	if (k->nshards > 0)
		s = bsearch(&want, k->shards, k->nshards, sizeof *k->shards, by_name);
	if (s == NULL)
		faults_add(&b->faults, at, "unknown shard \"%.*s\"", NAME_MAX_LEN, want.name.p);
	return s;
}

static size_t bucket(const struct route_table *t, const struct kind *k, struct str tenant)
{
	return siphash(&t->key, tenant) & k->mask;
}

static struct str placement_tenant(const struct route_table *t, const struct placement *p)
{
	return str_n(t->text + p->off, p->len);
}

/* Counting sort of `in` by bucket: start[b] counts, then is the end of b, then its beginning. */
static void freeze(struct route_table *t, struct kind *k, const struct placement *in)
{
	for (size_t i = 0; i < k->nplacements; i++)
		k->start[bucket(t, k, placement_tenant(t, &in[i]))]++;
	for (size_t b = 1; b <= k->mask + 1; b++)
		k->start[b] += k->start[b - 1];
	for (size_t i = k->nplacements; i-- > 0;)
		k->placements[--k->start[bucket(t, k, placement_tenant(t, &in[i]))]] = in[i];
}

static enum err build_index(struct route_table *t, struct kind *k, struct placement *in)
{
	k->mask = 0;
	while (k->mask + 1 < k->nplacements)
		k->mask = k->mask * 2 + 1;
	k->start = heap_zalloc((k->mask + 2) * sizeof *k->start);
	k->placements = heap_alloc((k->nplacements + 1) * sizeof *k->placements);
	if (k->start == NULL || k->placements == NULL)
		return E_NOMEM;
	freeze(t, k, in);
	return OK;
}

static enum err build_placements(struct build *b, const json_t *doc)
{
	struct kind *k = &b->t->kind[b->k];
	json_t *all = section(b, doc, names[b->k].placement), *v;
	struct placement *in;
	const char *tenant;
	enum err e;

	in = heap_alloc((json_object_size(all) + 1) * sizeof *in);
	if (in == NULL)
		return E_NOMEM;
	json_object_foreach(all, tenant, v) {
		struct route_shard *s = placed_on(b, tenant, v);

		if (s == NULL || b->faults.n > 0)
			continue;
		if (strcmp(tenant, "*") == 0) {
			k->fallback = s;
			continue;
		}
		in[k->nplacements++] = (struct placement){ .off = (uint32_t)b->t->used,
			.len = strlen(tenant) & 63, .shard = (uint32_t)(s - k->shards) & (SHARDS_MAX - 1) };
		keep(b->t, tenant);
	}
	e = b->faults.n == 0 ? build_index(b->t, k, in) : OK;
	heap_free(in);
	return e;
}

static bool key_known(const char *key)
{
	if (strcmp(key, "revision") == 0)
		return true;
	for (int k = 0; k < ROUTE__KINDS; k++)
		if (strcmp(key, names[k].placement) == 0 || strcmp(key, names[k].shards) == 0)
			return true;
	return false;
}

static void build_head(struct build *b, const json_t *doc)
{
	const json_t *revision = json_object_get(doc, "revision");
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)doc, key, v)
		if (!key_known(key))
			faults_add(&b->faults, AT_SECTION(key), "unknown key");
	b->t->revision = json_integer_value(revision);
	if (revision == NULL)
		faults_add(&b->faults, AT_SECTION("revision"), "the key revision is missing");
	else if (!json_is_integer(revision) || b->t->revision < 1)
		faults_add(&b->faults, AT_SECTION("revision"), "it must be a whole number from 1");
}

static enum err build(struct build *b, const json_t *doc)
{
	size_t bytes = text_bytes(doc) + 1;
	enum err e = OK;

	if (!json_is_object(doc)) {
		faults_add(&b->faults, AT_SECTION(NULL), "the document must be an object");
		return OK;
	}
	if (bytes > TEXT_MAX)
		return E_LIMIT;
	b->t->text = heap_alloc(bytes);
	if (b->t->text == NULL)
		return E_NOMEM;
	build_head(b, doc);
	for (int k = 0; e == OK && k < ROUTE__KINDS; k++) {
		b->k = (enum route_kind)k;
		e = build_shards(b, doc);
		if (e == OK)
			e = build_placements(b, doc);
	}
	return e;
}

enum err route_table_new(const struct json_t *doc, struct route_table **out, struct fail *f)
{
	struct build b = { 0 };
	enum err e = route_table_empty(&b.t), faulty;

	if (e != OK)
		return fail_set(f, e, "no memory for a routing table");
	e = build(&b, doc);
	if (e != OK)
		fail_set(f, e, "the routing document is too large");
	faulty = faults_end(&b.faults, e == OK ? f : NULL);
	if (e == OK)
		e = faulty;
	if (e == OK)
		*out = b.t;
	else
		route_table_unref(b.t);
	return e;
}

enum err route_table_empty(struct route_table **out)
{
	struct route_table *t = heap_zalloc(sizeof *t);

	if (t == NULL)
		return E_NOMEM;
	atomic_init(&t->refs, 1);
	t->key = siphash_key_new();
	*out = t;
	return OK;
}

struct route_table *route_table_ref(struct route_table *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void route_table_unref(struct route_table *t)
{
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (int k = 0; k < ROUTE__KINDS; k++) {
		heap_free(t->kind[k].shards);
		heap_free(t->kind[k].endpoints);
		heap_free(t->kind[k].placements);
		heap_free(t->kind[k].start);
	}
	heap_free(t->text);
	heap_free(t);
}

/* ---- reading -------------------------------------------------------------------------------- */

int64_t route_table_revision(const struct route_table *t)
{
	return t->revision;
}

const struct route_shard *route_resolve(const struct route_table *t, enum route_kind kind,
    struct str tenant)
{
	const struct kind *k = &t->kind[kind];
	size_t b;

	if (k->nplacements == 0)
		return k->fallback;
	b = bucket(t, k, tenant);
	for (uint32_t i = k->start[b]; i < k->start[b + 1]; i++)
		if (str_eq(placement_tenant(t, &k->placements[i]), tenant))
			return &k->shards[k->placements[i].shard];
	return k->fallback;
}

size_t route_shard_count(const struct route_table *t, enum route_kind kind)
{
	return t->kind[kind].nshards;
}

const struct route_shard *route_shard_at(const struct route_table *t, enum route_kind kind, size_t i)
{
	return &t->kind[kind].shards[i];
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

static void write_shards(struct jsonw *w, const struct kind *k)
{
	jsonw_obj(w);
	for (size_t i = 0; i < k->nshards; i++) {
		jsonw_key(w, k->shards[i].name.p);
		jsonw_arr(w);
		for (size_t j = 0; j < k->shards[i].n; j++)
			write_endpoint(w, &k->shards[i].endpoints[j]);
		jsonw_arr_end(w);
	}
	jsonw_obj_end(w);
}

static int by_tenant(const void *a, const void *b, void *text)
{
	const struct placement *x = a, *y = b;

	return strcmp((const char *)text + x->off, (const char *)text + y->off);
}

static enum err write_placements(struct jsonw *w, const struct route_table *t, const struct kind *k)
{
	struct placement *sorted = heap_alloc((k->nplacements + 1) * sizeof *sorted);

	if (sorted == NULL)
		return E_NOMEM;
	if (k->nplacements > 0)
		memcpy(sorted, k->placements, k->nplacements * sizeof *sorted);
	qsort_r(sorted, k->nplacements, sizeof *sorted, by_tenant, t->text);
	jsonw_obj(w);
	if (k->fallback != NULL) /* "*" sorts before any tenant */
		jsonw_kstr(w, "*", k->fallback->name);
	for (size_t i = 0; i < k->nplacements; i++)
		jsonw_kstr(w, t->text + sorted[i].off, k->shards[sorted[i].shard].name);
	jsonw_obj_end(w);
	heap_free(sorted);
	return OK;
}

enum err route_table_write(const struct route_table *t, struct buf *out)
{
	struct jsonw w = jsonw_on(out);
	enum err e = OK;

	jsonw_obj(&w);
	for (int k = 0; e == OK && k < ROUTE__KINDS; k++) {
		if (k == ROUTE_RUNNER) /* where it sorts */
			jsonw_kint(&w, "revision", t->revision);
		jsonw_key(&w, names[k].placement);
		e = write_placements(&w, t, &t->kind[k]);
		jsonw_key(&w, names[k].shards);
		write_shards(&w, &t->kind[k]);
	}
	jsonw_obj_end(&w);
	return e != OK ? e : buf_err(out);
}
