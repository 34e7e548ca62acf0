#include <stdatomic.h>
#include <stdlib.h>

#include "authz/decision.h"
#include "base/arena.h"
#include "base/heap.h"
#include "iam/tenant.h"

#define ROLES_MAX (256u << 20) /* bytes */

#define GRANTS(...) \
	.grants = (const struct role_grant[]){ __VA_ARGS__ }, \
	.n = sizeof((const struct role_grant[]){ __VA_ARGS__ }) / sizeof(struct role_grant)
#define ALL(right_) { { right_, sizeof(right_) - 1 }, { "*", 1 } }
#define Z(text) { text, sizeof(text) - 1 }

/* Immutable; not in the store. Sorted by id as the set is. */
static const struct role_def built_in[] = {
	{ .id = Z("platform-admin"), .name = Z("Platform administrator"), .built_in = true,
	  .version = 1, GRANTS(ALL("*")) },
	{ .id = Z("tenant-admin"), .name = Z("Tenant administrator"), .built_in = true, .version = 1,
	  GRANTS(ALL("iam.*"), ALL("audit.read"), ALL("query.execute"), ALL("command.submit")) },
	{ .id = Z("tenant-member"), .name = Z("Tenant member"), .built_in = true, .version = 1,
	  GRANTS(ALL("command.submit"), ALL("query.execute")) },
};
#define BUILT_IN (sizeof built_in / sizeof built_in[0])

struct role_set {
	atomic_int refs;
	struct arena arena; /* everything below */
	struct role_def *defs; /* sorted by id */
	size_t n;
	struct str *disabled; /* tenants, sorted */
	size_t ndisabled;
};

static int by_text(const void *a, const void *b)
{
	const struct str x = *(const struct str *)a, y = *(const struct str *)b;
	size_t shorter = x.n < y.n ? x.n : y.n;
	int c = shorter > 0 ? memcmp(x.p, y.p, shorter) : 0;

	return c != 0 ? c : (x.n > y.n) - (x.n < y.n);
}

static int by_id(const void *a, const void *b)
{
	return by_text(&((const struct role_def *)a)->id, &((const struct role_def *)b)->id);
}

/* A copy of s in the arena; *ok becomes false without memory. */
static struct str copy_str(struct role_set *r, struct str s, bool *ok)
{
	struct str c = s.p != NULL ? arena_str(&r->arena, s) : STR_NONE;

	if (s.p != NULL && c.p == NULL)
		*ok = false;
	return c;
}

static bool copy_def(struct role_set *r, const struct role_def *d, struct role_def *out)
{
	struct role_grant *g = arena_alloc(&r->arena, (d->n + 1) * sizeof *g);
	bool ok = g != NULL;

	*out = *d;
	out->id = copy_str(r, d->id, &ok);
	out->name = copy_str(r, d->name, &ok);
	out->tenant = copy_str(r, d->tenant, &ok);
	out->grants = g;
	for (size_t i = 0; ok && i < d->n; i++)
		g[i] = (struct role_grant){ copy_str(r, d->grants[i].right, &ok),
			copy_str(r, d->grants[i].resource, &ok) };
	return ok;
}

static bool is_built_in(struct str id)
{
	for (size_t i = 0; i < BUILT_IN; i++)
		if (str_eq(built_in[i].id, id))
			return true;
	return false;
}

static bool fill(struct role_set *r, const struct role_def *defs, size_t n)
{
	r->defs = arena_alloc(&r->arena, (n + BUILT_IN) * sizeof *r->defs);
	if (r->defs == NULL)
		return false;
	for (size_t i = 0; i < BUILT_IN; i++)
		r->defs[r->n++] = built_in[i];
	for (size_t i = 0; i < n; i++) {
		if (is_built_in(defs[i].id))
			continue;
		if (!copy_def(r, &defs[i], &r->defs[r->n]))
			return false;
		r->defs[r->n++].built_in = false;
	}
	qsort(r->defs, r->n, sizeof *r->defs, by_id);
	return true;
}

static bool fill_disabled(struct role_set *r, const struct str *ids, size_t n)
{
	bool ok = true;

	if (n == 0)
		return true;
	r->disabled = arena_alloc(&r->arena, n * sizeof *r->disabled);
	if (r->disabled == NULL)
		return false;
	for (size_t i = 0; i < n && ok; i++)
		r->disabled[r->ndisabled++] = copy_str(r, ids[i], &ok);
	return ok;
}

enum err role_set_new_without(const struct role_def *defs, size_t n, const struct str *disabled,
    size_t ndisabled, struct role_set **out)
{
	struct role_set *r = heap_zalloc(sizeof *r);

	if (r == NULL)
		return E_NOMEM;
	atomic_init(&r->refs, 1);
	arena_init(&r->arena, ROLES_MAX);
	if (!fill(r, defs, n) || !fill_disabled(r, disabled, ndisabled)) {
		role_set_unref(r);
		return E_NOMEM;
	}
	*out = r;
	return OK;
}

enum err role_set_new(const struct role_def *defs, size_t n, struct role_set **out)
{
	return role_set_new_without(defs, n, NULL, 0, out);
}

bool role_set_disables(const struct role_set *r, struct str tenant)
{
	return r->ndisabled > 0 && bsearch(&tenant, r->disabled, r->ndisabled, sizeof *r->disabled,
	    by_text) != NULL;
}

enum err role_set_load(struct store *s, struct role_set **out, struct fail *f)
{
	struct str *disabled = NULL;
	struct role_def *defs;
	size_t n, ndisabled = 0;
	struct arena a;
	enum err e;

	arena_init(&a, ROLES_MAX);
	e = role_read_all(s, &a, &defs, &n, f);
	if (e == OK)
		e = tenant_list_disabled(s, &a, &disabled, &ndisabled, f);
	if (e == OK) {
		e = role_set_new_without(defs, n, disabled, ndisabled, out);
		if (e != OK)
			fail_set(f, e, "no memory for the roles");
	}
	arena_release(&a);
	return e;
}

struct role_set *role_set_ref(struct role_set *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void role_set_unref(struct role_set *r)
{
	if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
		return;
	arena_release(&r->arena);
	heap_free(r);
}

const struct role_def *role_set_find(const struct role_set *r, struct str id)
{
	struct role_def want = { .id = id };

	return bsearch(&want, r->defs, r->n, sizeof *r->defs, by_id);
}

size_t role_set_count(const struct role_set *r)
{
	return r->n;
}

const struct role_def *role_set_at(const struct role_set *r, size_t i)
{
	return &r->defs[i];
}
