#include "routing/shard_set.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/heap.h"
#include "routing/placements.h"
#include "routing/url.h"

#define NUMBERS_MAX (1u << 26)

/* One shard with all that it points to, in one piece of memory. */
struct box {
	atomic_uint refs;
	struct route_shard shard;
};

struct shard_set {
	atomic_uint refs;
	uint32_t count, cap;
	struct box **box;    /* by number; NULL: free */
	uint32_t *by_name;   /* count numbers */
};

/* ---- one shard ------------------------------------------------------------------------------- */

static size_t text_bytes(const struct shard_edit *s)
{
	size_t bytes = s->name.n + 1;

	for (size_t i = 0; i < s->n; i++)
		bytes += s->endpoints[i].url.n + s->endpoints[i].admin.n + 2;
	return bytes;
}

static struct str keep(char **at, struct str s)
{
	struct str out = str_n(*at, s.n);

	if (s.n > 0) /* of a bad endpoint, whose table nobody will see */
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return out;
}

static void copy_endpoint(char **at, const struct route_endpoint *from, struct route_endpoint *to)
{
	*to = *from;
	to->url = keep(at, from->url);
	(void)route_url_parse(to->url, to); /* good before: sets the views into it */
	to->admin = from->admin.p != from->url.p ? keep(at, from->admin) : to->url;
}

static struct box *box_new(enum route_kind kind, const struct shard_edit *s)
{
	struct box *b = heap_alloc(sizeof *b + s->n * sizeof *s->endpoints + text_bytes(s));
	struct route_endpoint *e;
	char *at;

	if (b == NULL)
		return NULL;
	e = (struct route_endpoint *)(b + 1);
	at = (char *)(e + s->n);
	atomic_init(&b->refs, 1);
	b->shard = (struct route_shard){ .kind = kind, .name = keep(&at, s->name), .endpoints = e,
		.n = s->n };
	for (size_t i = 0; i < s->n; i++)
		copy_endpoint(&at, &s->endpoints[i], &e[i]);
	return b;
}

static struct box *box_ref(struct box *b)
{
	if (b != NULL)
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

static void box_unref(struct box *b)
{
	if (b != NULL && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		heap_free(b);
}

bool shards_same(const struct route_shard *a, const struct route_shard *b)
{
	if (a == b)
		return true;
	if (a == NULL || b == NULL || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct route_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];

		if (!str_eq(x->url, y->url) || !str_eq(x->admin, y->admin) || x->weight != y->weight ||
		    (x->admin.p == x->url.p) != (y->admin.p == y->url.p))
			return false;
	}
	return true;
}

/* ---- the set --------------------------------------------------------------------------------- */

static int edit_cmp(const void *a, const void *b)
{
	const struct shard_edit *x = a, *y = b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int c = n > 0 ? memcmp(x->name.p, y->name.p, n) : 0;

	return c != 0 ? c : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

bool shard_edits_sort(struct shard_edit *v, size_t n)
{
	if (n > 1)
		qsort(v, n, sizeof *v, edit_cmp);
	for (size_t i = 1; i < n; i++)
		if (edit_cmp(&v[i - 1], &v[i]) == 0)
			return false;
	return true;
}

static struct shard_set *set_new(size_t cap)
{
	struct shard_set *s = heap_zalloc(sizeof *s);

	if (s == NULL)
		return NULL;
	atomic_init(&s->refs, 1);
	s->cap = (uint32_t)cap;
	s->box = heap_zalloc(cap * sizeof(*s->box));
	s->by_name = heap_alloc(cap * sizeof *s->by_name);
	if (s->box != NULL && s->by_name != NULL)
		return s;
	shard_set_unref(s);
	return NULL;
}

static struct box *old_box(const struct shard_set *old, uint32_t number)
{
	return old != NULL && number < old->cap ? old->box[number] : NULL;
}

/* The next number from *at on that neither set uses. */
static uint32_t free_number(const struct shard_set *old, const struct shard_set *s, uint32_t *at)
{
	while (old_box(old, *at) != NULL || s->box[*at] != NULL)
		++*at;
	return *at;
}

static enum err edit(const struct shard_set *old, struct shard_set *s, enum route_kind kind,
    const struct shard_edit *v, uint32_t *at)
{
	uint32_t number = shard_set_find(old, v->name);
	const struct route_shard wanted = { .endpoints = v->endpoints, .n = v->n };
	struct box *was = number != SHARD_NONE ? old->box[number] : NULL, *b;

	if (v->endpoints == NULL) {
		if (was != NULL) {
			box_unref(s->box[number]);
			s->box[number] = NULL;
		}
		return OK;
	}
	b = was != NULL && shards_same(&was->shard, &wanted) ? box_ref(was) : box_new(kind, v);
	if (b == NULL)
		return E_NOMEM;
	if (was == NULL)
		number = free_number(old, s, at);
	box_unref(s->box[number]);
	s->box[number] = b;
	return OK;
}

static int by_name(const void *a, const void *b, void *set)
{
	const struct shard_set *s = set;

	return strcmp(s->box[*(const uint32_t *)a]->shard.name.p,
	    s->box[*(const uint32_t *)b]->shard.name.p);
}

static void index_names(struct shard_set *s)
{
	for (uint32_t i = 0; i < s->cap; i++)
		if (s->box[i] != NULL)
			s->by_name[s->count++] = i;
	qsort_r(s->by_name, s->count, sizeof *s->by_name, by_name, s);
}

enum err shard_set_apply(struct shard_set *old, enum route_kind kind, bool clear,
    const struct shard_edit *v, size_t n, struct shard_set **out)
{
	size_t cap = (old != NULL ? old->cap : 0) + n;
	struct shard_set *s;
	uint32_t at = 0;
	enum err e = OK;

	*out = NULL;
	if (n == 0 && (!clear || old == NULL)) {
		*out = shard_set_ref(old);
		return OK;
	}
	if (cap > NUMBERS_MAX)
		return E_LIMIT;
	s = set_new(cap);
	if (s == NULL)
		return E_NOMEM;
	for (uint32_t i = 0; !clear && old != NULL && i < old->cap; i++)
		s->box[i] = box_ref(old->box[i]);
	for (size_t i = 0; e == OK && i < n; i++)
		e = edit(old, s, kind, &v[i], &at);
	if (e != OK) {
		shard_set_unref(s);
		return e;
	}
	while (s->cap > 0 && s->box[s->cap - 1] == NULL)
		s->cap--;
	index_names(s);
	*out = s;
	return OK;
}

struct shard_set *shard_set_ref(struct shard_set *s)
{
	if (s != NULL)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void shard_set_unref(struct shard_set *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (uint32_t i = 0; s->box != NULL && i < s->cap; i++)
		box_unref(s->box[i]);
	heap_free(s->box);
	heap_free(s->by_name);
	heap_free(s);
}

/* ---- reading --------------------------------------------------------------------------------- */

size_t shard_set_count(const struct shard_set *s)
{
	return s != NULL ? s->count : 0;
}

const struct route_shard *shard_set_sorted(const struct shard_set *s, size_t i)
{
	return &s->box[s->by_name[i]]->shard;
}

const struct route_shard *shard_set_at(const struct shard_set *s, uint32_t number)
{
	return s != NULL && number < s->cap && s->box[number] != NULL ? &s->box[number]->shard : NULL;
}

uint32_t shard_set_find(const struct shard_set *s, struct str name)
{
	size_t from = 0, to = shard_set_count(s);

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		const struct shard_edit there = { .name = shard_set_sorted(s, mid)->name };
		const struct shard_edit want = { .name = name };
		int c = edit_cmp(&want, &there);

		if (c == 0)
			return s->by_name[mid];
		if (c < 0)
			to = mid;
		else
			from = mid + 1;
	}
	return SHARD_NONE;
}
