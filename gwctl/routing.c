/* gwctl routing: the verbs that work on the document itself. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "client/client.h"
#include "gwctl.h"
#include "rest.h"
#include "yaml.h"

static enum err read_document(const char *path, json_t **out, struct fail *f)
{
	char *text = NULL;
	size_t n = 0;
	enum err e = gwctl_read_file(path, &text, &n, f);

	if (e == OK && yaml_read(str_n(text, n), out, f) != OK)
		e = fail_wrap(f, "%s", path);
	if (e == OK && !json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		e = fail_set(f, E_BAD_REQUEST, "%s: not a routing document", path);
	}
	free(text);
	return e;
}

/* ---- for people ---- */

static const char *const kinds[] = { "aggregate", "projection", "runner" };

static json_t *member(const json_t *doc, const char *kind, const char *suffix)
{
	char name[64];

	snprintf(name, sizeof name, "%s_%s", kind, suffix);
	return json_object_get(doc, name);
}

static enum err add_placements(json_t *rows, const json_t *doc, const char *kind)
{
	json_t *shards = member(doc, kind, "shards"), *shard;
	const char *tenant;

	json_object_foreach(member(doc, kind, "placement"), tenant, shard) {
		json_t *endpoints = json_object_get(shards, json_string_value(shard));

		if (json_array_append_new(rows, json_pack("{ss,ss,sO,sO?}", "kind", kind, "tenant", tenant,
		    "shard", shard, "endpoints", endpoints)) != 0)
			return E_NOMEM;
	}
	return OK;
}

enum err routing_show(struct gwctl *g, const json_t *answer)
{
	const json_t *inner = json_object_get(answer, "document"), *doc = inner != NULL ? inner : answer;
	const struct print p = { g->print.out, g->print.format, "kind,tenant,shard,endpoints" };
	json_t *rows = json_array();
	enum err e = rows != NULL ? OK : E_NOMEM;

	for (size_t i = 0; e == OK && i < sizeof kinds / sizeof *kinds; i++)
		e = add_placements(rows, doc, kinds[i]);
	if (e == OK && g->print.format == FORMAT_TABLE)
		fprintf(g->print.out, "revision %lld\n",
		    (long long)json_integer_value(json_object_get(doc, "revision")));
	if (e == OK)
		e = print_list(&p, rows, NULL);
	json_decref(rows);
	return e;
}

static int64_t revision_of(const json_t *doc)
{
	return json_integer_value(json_object_get(doc, "revision"));
}

/* Numbers the document as the one after that in force, when its author left that to us: without a
 * revision, or edited from the one in force. Any other number goes to the gateway as it is. */
static enum err number(struct gwctl *g, json_t *doc, struct fail *f)
{
	json_t *now = NULL, *given;
	enum err e = rest_get(g, "/admin/routing", &now, f);

	if (e != OK)
		return e;
	given = json_object_get(doc, "revision");
	if (given == NULL || (json_is_integer(given) && revision_of(doc) == revision_of(now)))
		json_object_set_new(doc, "revision", json_integer(revision_of(now) + 1));
	json_decref(now);
	return OK;
}

enum err routing_put_run(struct gwctl *g, struct fail *f)
{
	json_t *doc = NULL;
	enum err e = read_document(gwctl_arg(g, "--file"), &doc, f);

	if (e == OK)
		e = gwctl_client(g, f);
	if (e == OK)
		e = number(g, doc, f);
	if (e == OK)
		e = rest_change(g, "/admin/routing", doc, f);
	json_decref(doc);
	return e;
}

/* ---- set ---- */

/* patch[kind + suffix] = { name: value }. Takes the value. */
static void change(json_t *patch, const char *kind, const char *suffix, const char *name, json_t *value)
{
	char section[64];

	snprintf(section, sizeof section, "%s_%s", kind, suffix);
	json_object_set_new(patch, section, json_pack("{so}", name, value));
}

/* What the command changes of whatever document is in force. */
static enum err make_patch(const struct gwctl *g, json_t *patch, struct fail *f)
{
	const char *kind = gwctl_arg(g, "--kind"), *shard = gwctl_arg(g, "--shard");
	json_t *endpoints = json_array();

	for (size_t i = 0; i < g->args.n; i++)
		if (strcmp(g->args.v[i].arg->name, "--endpoint") == 0)
			json_array_append_new(endpoints, json_string(g->args.v[i].value));
	if (shard == NULL && json_array_size(endpoints) > 0) {
		json_decref(endpoints);
		return fail_set(f, E_USAGE, "--endpoint needs --shard");
	}
	change(patch, kind, "placement", gwctl_arg(g, "TENANT"),
	    shard != NULL ? json_string(shard) : json_null());
	if (json_array_size(endpoints) > 0)
		change(patch, kind, "shards", shard, json_incref(endpoints));
	json_decref(endpoints);
	return OK;
}

enum err routing_set_run(struct gwctl *g, struct fail *f)
{
	json_t *patch = json_object();
	enum err e = gwctl_client(g, f);

	if (e == OK)
		e = make_patch(g, patch, f);
	if (e == OK)
		e = rest_change(g, "/admin/routing", patch, f);
	json_decref(patch);
	return e;
}

/* ---- diff ---- */

static void add_difference(json_t *rows, const char *path, json_t *from, json_t *to)
{
	json_array_append_new(rows, json_pack("{ss,ss,sO?,sO?}", "op", from == NULL ? "add" : to == NULL ?
	    "remove" : "replace", "path", path, "from", from, "to", to));
}

/* Member by member: shards and placements, not what is inside an endpoint list. */
static void compare(json_t *rows, const char *path, json_t *from, json_t *to)
{
	char below[512];
	const char *key;
	json_t *v;

	if (json_equal(from, to))
		return;
	if (!(json_is_object(from) || from == NULL) || !(json_is_object(to) || to == NULL) ||
	    (from == NULL && to == NULL)) {
		add_difference(rows, path, from, to);
		return;
	}
	json_object_foreach(from, key, v) {
		snprintf(below, sizeof below, "%s/%s", path, key);
		compare(rows, below, v, json_object_get(to, key));
	}
	json_object_foreach(to, key, v) {
		snprintf(below, sizeof below, "%s/%s", path, key);
		if (json_object_get(from, key) == NULL)
			compare(rows, below, NULL, v);
	}
}

static enum err get_revision(struct gwctl *g, int64_t n, json_t **out, struct fail *f)
{
	char path[64];
	json_t *o = NULL;
	enum err e;

	snprintf(path, sizeof path, "/admin/routing/revisions/%lld", (long long)n);
	e = rest_get(g, path, &o, f);
	/* a revision may come with who made it around its document */
	if (json_is_object(json_object_get(o, "document"))) {
		*out = json_incref(json_object_get(o, "document"));
		json_decref(o);
	} else {
		*out = o;
	}
	return e;
}

static enum err both_sides(struct gwctl *g, json_t **from, json_t **to, struct fail *f)
{
	const char *file = gwctl_arg(g, "--file"), *a = gwctl_arg(g, "--from"), *b = gwctl_arg(g, "--to");
	enum err e;

	if (file != NULL && b != NULL)
		return fail_set(f, E_USAGE, "--file and --to exclude each other");
	if (file != NULL)
		e = read_document(file, to, f);
	else
		e = b != NULL ? get_revision(g, atoll(b), to, f) : rest_get(g, "/admin/routing", to, f);
	if (e != OK)
		return e;
	if (a != NULL)
		return get_revision(g, atoll(a), from, f);
	if (file != NULL)
		return rest_get(g, "/admin/routing", from, f);
	if (revision_of(*to) <= 1) {
		*from = json_object();
		return OK;
	}
	return get_revision(g, revision_of(*to) - 1, from, f);
}

enum err routing_diff_run(struct gwctl *g, struct fail *f)
{
	json_t *from = NULL, *to = NULL, *rows = json_array();
	enum err e = gwctl_client(g, f);

	if (e == OK)
		e = both_sides(g, &from, &to, f);
	if (e == OK) {
		json_object_del(from, "revision");
		json_object_del(to, "revision");
		compare(rows, "", from, to);
		e = print_list(&g->print, rows, NULL);
	}
	json_decref(from);
	json_decref(to);
	json_decref(rows);
	return e;
}
