#include "routing/document.h"

#include "base/heap.h"
#include "base/jsonr.h"
#include "base/suggest.h"
#include "routing/url.h"

#define NAME_MAX_LEN 64
#define WEIGHT_MAX 100
#define ARENA_MAX ((size_t)256 << 20)

static const struct {
	const char *placement, *shards;
} sections[ROUTE__KINDS] = {
	[ROUTE_AGGREGATE] = { "aggregate_placement", "aggregate_shards" },
	[ROUTE_PROJECTION] = { "projection_placement", "projection_shards" },
	[ROUTE_RUNNER] = { "runner_placement", "runner_shards" },
};

const char *route_placement_section(enum route_kind k)
{
	return sections[k].placement;
}

const char *route_shards_section(enum route_kind k)
{
	return sections[k].shards;
}

/* What reading carries along. */
struct reader {
	struct jsonr r;
	struct route_doc *d;
	enum route_kind k;
	const char *section;
	const char *twice; /* a member that is there twice */
	bool nomem;
};

/* ---- faults and memory ----------------------------------------------------------------------- */

/* For a fault: names are views, faults want a C string. */
static const char *z(struct reader *x, struct str s)
{
	const char *copy = arena_strz(&x->d->arena, s);

	x->nomem |= copy == NULL;
	return copy != NULL ? copy : "";
}

#define FAULT(x, at, ...) faults_add(&(x)->d->faults, (at), __VA_ARGS__)

/* Room for one more of `size` bytes in an array of n; *v moves when it is full. */
static void *more(struct reader *x, void *v, size_t n, size_t *cap, size_t size)
{
	void *grown;

	if (n < *cap)
		return v;
	*cap = *cap > 0 ? *cap * 2 : 16;
	grown = heap_realloc(v, *cap * size);
	x->nomem |= grown == NULL;
	return grown;
}

static bool going(const struct reader *x)
{
	return !x->r.failed && !x->nomem && x->twice == NULL;
}

/* The next value when it is a whole number; passes over it otherwise. */
static bool whole_number(struct reader *x, int64_t *out)
{
	struct jsonr before = x->r;

	if (jsonr_peek(&x->r) == '0' && jsonr_int(&x->r, out))
		return true;
	x->r = before;
	(void)jsonr_skip(&x->r);
	return false;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static void set_url(struct reader *x, struct fault_at at, struct str url, struct route_endpoint *e)
{
	const char *bad;

	e->url = url;
	bad = route_url_parse(url, e);
	if (bad != NULL)
		FAULT(x, at, "bad URL: %s", bad);
}

static void set_admin(struct reader *x, struct fault_at at, struct str url,
    struct route_endpoint *e)
{
	struct route_endpoint probe = { 0 };
	const char *bad;

	e->admin = url;
	bad = route_url_parse(url, &probe);
	if (bad != NULL)
		FAULT(x, at, "bad URL: %s", bad);
	else if (probe.scheme != SCHEME_HTTP && probe.scheme != SCHEME_HTTPS)
		FAULT(x, at, "bad URL: the scheme of an admin URL must be http or https");
}

/* A member that must be a string. */
static bool text(struct reader *x, struct fault_at at, struct str *out)
{
	if (jsonr_peek(&x->r) == '"')
		return jsonr_str(&x->r, out);
	if (jsonr_skip(&x->r))
		FAULT(x, at, "it must be a string");
	return false;
}

enum { URL = 1, ADMIN = 2, WEIGHT = 4 };

static void read_weight(struct reader *x, struct fault_at at, struct route_endpoint *e)
{
	int64_t v;

	if (whole_number(x, &v) && v >= 1 && v <= WEIGHT_MAX)
		e->weight = (unsigned)v;
	else if (going(x))
		FAULT(x, at, "it must be a whole number from 1 to %d", WEIGHT_MAX);
}

/* One member of an endpoint's object; returns which. */
static unsigned read_member(struct reader *x, struct fault_at at, struct str name,
    struct route_endpoint *e)
{
	struct str v;

	at.member = str_eqc(name, "url") ? "url" : str_eqc(name, "admin") ? "admin" :
	    str_eqc(name, "weight") ? "weight" : z(x, name);
	if (str_eqc(name, "url")) {
		if (text(x, at, &v))
			set_url(x, at, v, e);
		return URL;
	}
	if (str_eqc(name, "admin")) {
		if (text(x, at, &v))
			set_admin(x, at, v, e);
		return ADMIN;
	}
	if (str_eqc(name, "weight")) {
		read_weight(x, at, e);
		return WEIGHT;
	}
	if (jsonr_skip(&x->r))
		FAULT(x, at, "unknown key; known are url, admin, weight");
	return 0;
}

static void read_object(struct reader *x, struct fault_at at, struct route_endpoint *e)
{
	unsigned seen = 0, one;
	struct str name;

	(void)jsonr_obj(&x->r);
	while (going(x) && jsonr_member(&x->r, &name)) {
		one = read_member(x, at, name, e);
		if ((seen & one) != 0)
			x->twice = z(x, name);
		seen |= one;
	}
	if (going(x) && (seen & URL) == 0)
		FAULT(x, at, "the key url is missing");
}

static void read_endpoint(struct reader *x, struct fault_at at, struct route_endpoint *e)
{
	struct str url;

	*e = (struct route_endpoint){ .weight = 1 };
	if (jsonr_peek(&x->r) == '{') {
		read_object(x, at, e);
	} else if (jsonr_peek(&x->r) == '"') {
		if (jsonr_str(&x->r, &url))
			set_url(x, at, url, e);
	} else if (jsonr_skip(&x->r)) {
		FAULT(x, at, "an endpoint must be a URL or an object with url");
	}
	if (e->admin.p == NULL)
		e->admin = e->url;
}

/* ---- shards ---------------------------------------------------------------------------------- */

static bool shard_name_ok(struct str s)
{
	if (s.n == 0 || s.n > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return true;
}

static bool speaks_grpc(const struct route_endpoint *e)
{
	return e->scheme == SCHEME_GRPC || e->scheme == SCHEME_GRPCS;
}

/* A call is made in one protocol, whichever endpoint takes it. */
static void check_protocol(struct reader *x, struct fault_at at, const struct route_endpoint *first,
    const struct route_endpoint *e)
{
	if (first->host.n > 0 && e->host.n > 0 && speaks_grpc(first) != speaks_grpc(e))
		FAULT(x, at, "the endpoints of a shard must be http or https all, or grpc or grpcs all");
}

/* The elements of a list, in the arena once all are known. */
static void read_endpoints(struct reader *x, struct shard_edit *s)
{
	struct route_endpoint *v = NULL;
	const char *name = z(x, s->name);
	size_t cap = 0, n = 0;

	(void)jsonr_arr(&x->r);
	while (going(x) && jsonr_elem(&x->r)) {
		struct route_endpoint *grown = more(x, v, n, &cap, sizeof *v);

		if (grown == NULL)
			break;
		v = grown;
		read_endpoint(x, (struct fault_at){ x->section, name, (int)n, NULL }, &v[n]);
		check_protocol(x, (struct fault_at){ x->section, name, (int)n, NULL }, &v[0], &v[n]);
		n++;
	}
	s->endpoints = arena_alloc(&x->d->arena, (n + 1) * sizeof *v);
	x->nomem |= s->endpoints == NULL;
	if (s->endpoints != NULL && n > 0)
		memcpy(s->endpoints, v, n * sizeof *v);
	s->n = n;
	heap_free(v);
}

static void read_shard(struct reader *x, struct str name, struct shard_edit *s)
{
	bool list = jsonr_peek(&x->r) == '[', gone = x->d->patch && jsonr_peek(&x->r) == 'n';

	*s = (struct shard_edit){ .name = name };
	if (!gone && !shard_name_ok(name))
		FAULT(x, AT_NAME(x->section, z(x, name)),
		    "a shard's name must be 1 to %d visible ASCII characters without \" and \\", NAME_MAX_LEN);
	if (list)
		read_endpoints(x, s);
	else
		(void)jsonr_skip(&x->r);
	if (going(x) && !gone && s->n == 0)
		FAULT(x, AT_NAME(x->section, z(x, name)),
		    "a shard must be a list of at least one endpoint");
}

static void read_shards(struct reader *x)
{
	struct route_doc_kind *k = &x->d->kind[x->k];
	struct str name;

	while (going(x) && jsonr_member(&x->r, &name)) {
		struct shard_edit *v = more(x, k->shards, k->nshards, &k->shards_cap, sizeof *v);

		if (v == NULL)
			return;
		k->shards = v;
		read_shard(x, name, &v[k->nshards]);
		k->nshards++;
	}
}

/* ---- placements ------------------------------------------------------------------------------ */

static void read_placement(struct reader *x, struct route_doc_placement *p)
{
	char c = jsonr_peek(&x->r);

	p->shard = STR_NONE;
	if (!str_tenant(p->tenant) && !str_eqc(p->tenant, "*") && (!x->d->patch || c != 'n'))
		FAULT(x, AT_NAME(x->section, z(x, p->tenant)),
		    "a tenant must match [a-z0-9][a-z0-9-]{0,62} or be *");
	if (c == '"')
		(void)jsonr_str(&x->r, &p->shard);
	else if (jsonr_skip(&x->r) && !(x->d->patch && c == 'n'))
		FAULT(x, AT_NAME(x->section, z(x, p->tenant)), "it must be the name of a shard");
}

static void read_placements(struct reader *x)
{
	struct route_doc_kind *k = &x->d->kind[x->k];
	struct str tenant;

	while (going(x) && jsonr_member(&x->r, &tenant)) {
		struct route_doc_placement *v = more(x, k->placements, k->nplacements, &k->placements_cap,
		    sizeof *v);

		if (v == NULL)
			return;
		k->placements = v;
		v[k->nplacements].tenant = tenant;
		read_placement(x, &v[k->nplacements]);
		k->nplacements++;
	}
}

/* ---- the document ---------------------------------------------------------------------------- */

static void read_section(struct reader *x, bool *has, bool *clear, void (*members)(struct reader *x))
{
	char c = jsonr_peek(&x->r);

	if (*has)
		x->twice = x->section;
	*has = true;
	if (c == '{') {
		(void)jsonr_obj(&x->r);
		members(x);
		return;
	}
	*clear = x->d->patch && c == 'n';
	if (jsonr_skip(&x->r) && !*clear)
		FAULT(x, AT_SECTION(x->section), "it must be an object");
}

static void read_revision(struct reader *x)
{
	struct route_doc *d = x->d;

	if (d->has_revision || d->odd_revision)
		x->twice = "revision";
	if (d->patch && jsonr_peek(&x->r) == 'n') {
		(void)jsonr_skip(&x->r); /* as if it were not there */
		return;
	}
	d->has_revision = whole_number(x, &d->revision);
	d->odd_revision = !d->has_revision;
}

static void fault_unknown(struct reader *x, struct str name)
{
	struct suggest s = suggest_for(name);
	const char *near;

	suggest_offer(&s, "revision");
	for (int k = 0; k < ROUTE__KINDS; k++) {
		suggest_offer(&s, sections[k].placement);
		suggest_offer(&s, sections[k].shards);
	}
	near = suggest_get(&s);
	if (near != NULL)
		FAULT(x, AT_SECTION(z(x, name)), "unknown key; did you mean %s?", near);
	else
		FAULT(x, AT_SECTION(z(x, name)), "unknown key");
}

static void read_top(struct reader *x, struct str name)
{
	bool null = jsonr_peek(&x->r) == 'n';

	if (str_eqc(name, "revision")) {
		read_revision(x);
		return;
	}
	for (int k = 0; k < ROUTE__KINDS; k++) {
		struct route_doc_kind *of = &x->d->kind[k];

		x->k = (enum route_kind)k;
		x->section = sections[k].placement;
		if (str_eqc(name, x->section)) {
			read_section(x, &of->has_placements, &of->clear_placements, read_placements);
			return;
		}
		x->section = sections[k].shards;
		if (str_eqc(name, x->section)) {
			read_section(x, &of->has_shards, &of->clear_shards, read_shards);
			return;
		}
	}
	if (jsonr_skip(&x->r) && !(null && x->d->patch)) /* to remove what is not there is no fault */
		fault_unknown(x, name);
}

static enum err bad_json(const struct reader *x, const char *begin, struct fail *f)
{
	const char *line_begin = begin;
	int line = 1;

	for (const char *p = begin; p < x->r.p; p++)
		if (*p == '\n') {
			line++;
			line_begin = p + 1;
		}
	if (x->twice != NULL)
		return fail_set(f, E_BAD_JSON, "line %d column %td: the member \"%.100s\" is there twice",
		    line, x->r.p - line_begin, x->twice);
	return fail_set(f, E_BAD_JSON, "line %d column %td: %s", line, x->r.p - line_begin,
	    x->r.p == x->r.end ? "the end comes too early" : "this is no JSON");
}

enum err route_doc_read(char *json, size_t n, bool patch, struct route_doc *out, struct fail *f)
{
	struct reader x = { .r = jsonr_on(json, n), .d = out };
	struct str name;
	enum err e = OK;

	*out = (struct route_doc){ .patch = patch };
	arena_init(&out->arena, ARENA_MAX);
	out->is_object = jsonr_peek(&x.r) == '{';
	if (out->is_object) {
		(void)jsonr_obj(&x.r);
		while (going(&x) && jsonr_member(&x.r, &name))
			read_top(&x, name);
	} else if (jsonr_skip(&x.r)) {
		FAULT(&x, AT_SECTION(NULL), "the document must be an object");
	}
	if (x.nomem)
		e = fail_set(f, E_NOMEM, "no memory for a routing document");
	else if (x.twice != NULL || !jsonr_done(&x.r))
		e = bad_json(&x, json, f);
	if (e != OK)
		route_doc_release(out);
	return e;
}

void route_doc_release(struct route_doc *d)
{
	for (int k = 0; k < ROUTE__KINDS; k++) {
		heap_free(d->kind[k].placements);
		heap_free(d->kind[k].shards);
	}
	(void)faults_end(&d->faults, NULL);
	arena_release(&d->arena);
	*d = (struct route_doc){ .patch = d->patch };
}
