#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "routing/difference.h"
#include "routing/document.h"
#include "routing/table.h"
#include "routing/url.h"

static const char good[] =
    "{'revision': 7,"
    "'aggregate_placement': {'acme': 'a1', '*': 'a2'},"
    "'aggregate_shards': {'a2': ['grpcs://[::1]:50052'], 'a1': ['grpc://10.0.0.1:50051']},"
    "'projection_placement': {'acme': 'p1'},"
    "'projection_shards': {'p1': ['http://10.0.0.2:8080', 'https://p.example/base/']},"
    "'runner_placement': {'acme': 'r1'},"
    "'runner_shards': {'r1': [{'url': 'http://10.0.0.3:8080', 'admin': 'http://10.0.0.3:8081',"
    "'weight': 2}]}}";

/* Reads JSON with ' for ", as a whole document or as a patch onto base. */
static enum err try(const struct route_table *base, bool patch, const char *text,
    struct route_table **out, struct fail *f)
{
	struct route_doc d;
	char *z = strdup(text);
	enum err e;

	for (char *c = z; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	e = route_doc_read(z, strlen(z), patch, &d, f);
	if (e == OK) {
		e = route_table_build(base, &d, out, f);
		route_doc_release(&d);
	}
	free(z);
	return e;
}

static struct route_table *table(const char *text)
{
	struct route_table *t = NULL;
	struct fail f = { 0 };

	if (try(NULL, false, text, &t, &f) != OK)
		fail_msg("%s", fail_text(&f));
	return t;
}

static void assert_str(struct str s, const char *want)
{
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.p, want, s.n);
}

static void test_resolve(void **state)
{
	struct route_table *t = table(good);
	const struct route_shard *s = route_resolve(t, ROUTE_AGGREGATE, STR("acme"));

	(void)state;
	assert_int_equal(route_table_revision(t), 7);
	assert_str(s->name, "a1");
	assert_int_equal(s->n, 1);
	assert_int_equal(s->endpoints[0].scheme, SCHEME_GRPC);
	assert_str(s->endpoints[0].host, "10.0.0.1");
	assert_int_equal(s->endpoints[0].port, 50051);
	assert_str(s->endpoints[0].admin, "grpc://10.0.0.1:50051");
	assert_str(route_resolve(t, ROUTE_AGGREGATE, STR("other"))->name, "a2");
	assert_null(route_resolve(t, ROUTE_PROJECTION, STR("other")));
	assert_null(route_resolve(t, ROUTE_PROJECTION, STR("")));
	s = route_resolve(t, ROUTE_PROJECTION, STR("acme"));
	assert_int_equal(s->n, 2);
	assert_str(s->endpoints[1].base, "/base");
	assert_int_equal(s->endpoints[1].port, 443);
	s = route_resolve(t, ROUTE_RUNNER, STR("acme"));
	assert_int_equal(s->endpoints[0].weight, 2);
	assert_str(s->endpoints[0].admin, "http://10.0.0.3:8081");
	assert_int_equal(route_shard_count(t, ROUTE_AGGREGATE), 2);
	assert_str(route_shard_at(t, ROUTE_AGGREGATE, 0)->name, "a1");
	route_table_unref(t);
}

static void test_star_is_no_tenant(void **state)
{
	struct route_table *t = table("{'revision':1,'runner_placement':{'acme':'r1'},"
	                              "'runner_shards':{'r1':['http://h']}}");

	(void)state;
	assert_null(route_resolve(t, ROUTE_RUNNER, STR("*")));
	route_table_unref(t);
}

static void test_empty(void **state)
{
	struct route_table *t;

	(void)state;
	assert_int_equal(route_table_empty(&t), OK);
	assert_int_equal(route_table_revision(t), 0);
	for (int k = 0; k < ROUTE__KINDS; k++) {
		assert_null(route_resolve(t, (enum route_kind)k, STR("acme")));
		assert_int_equal(route_shard_count(t, (enum route_kind)k), 0);
	}
	route_table_unref(t);
}

static void test_kinds(void **state)
{
	enum route_kind k;

	(void)state;
	assert_true(route_kind_parse(STR("projection"), &k));
	assert_int_equal(k, ROUTE_PROJECTION);
	assert_false(route_kind_parse(STR("aggregates"), &k));
	assert_string_equal(route_kind_name(ROUTE_RUNNER), "runner");
}

/* What is written is canonical: writing what was read from it gives the same bytes. */
static void test_write_canonical(void **state)
{
	struct route_table *t = table(good), *again;
	struct buf a, b;

	(void)state;
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_int_equal(route_table_write(t, &a), OK);
	assert_string_equal(buf_cstr(&a),
	    "{\"aggregate_placement\":{\"*\":\"a2\",\"acme\":\"a1\"},"
	    "\"aggregate_shards\":{\"a1\":[\"grpc://10.0.0.1:50051\"],\"a2\":[\"grpcs://[::1]:50052\"]},"
	    "\"projection_placement\":{\"acme\":\"p1\"},"
	    "\"projection_shards\":{\"p1\":[\"http://10.0.0.2:8080\",\"https://p.example/base/\"]},"
	    "\"revision\":7,\"runner_placement\":{\"acme\":\"r1\"},"
	    "\"runner_shards\":{\"r1\":[{\"admin\":\"http://10.0.0.3:8081\","
	    "\"url\":\"http://10.0.0.3:8080\",\"weight\":2}]}}");
	assert_int_equal(try(NULL, false, buf_cstr(&a), &again, NULL), OK);
	assert_int_equal(route_table_write(again, &b), OK);
	assert_string_equal(buf_cstr(&a), buf_cstr(&b));
	route_table_unref(t);
	route_table_unref(again);
	buf_release(&a);
	buf_release(&b);
}

static const struct {
	const char *doc, *path, *error; /* the n-th fault is at path and its text begins with error */
	size_t faults;
} bad[] = {
	{ "[]", "", "the document must be an object", 1 },
	{ "{}", "/revision", "the key revision is missing", 1 },
	{ "{'revision':0}", "/revision", "it must be a whole number", 1 },
	{ "{'revision':1.5}", "/revision", "it must be a whole number", 1 },
	{ "{'revision':'1'}", "/revision", "it must be a whole number", 1 },
	{ "{'revision':1,'extra/key~':1}", "/extra~1key~0", "unknown key", 1 },
	{ "{'revision':1,'aggregate_placement':{'acme':'a9'}}", "/aggregate_placement/acme",
	    "unknown shard \"a9\"", 1 },
	{ "{'revision':1,'aggregate_placement':{'acme':7}}", "/aggregate_placement/acme",
	    "it must be the name of a shard", 1 },
	{ "{'revision':1,'aggregate_placement':[]}", "/aggregate_placement", "it must be an object", 1 },
	{ "{'revision':1,'runner_shards':{'r':['http://h']},'runner_placement':{'Acme':'r'}}",
	    "/runner_placement/Acme", "a tenant must match", 1 },
	{ "{'revision':1,'runner_shards':{'r':[]}}", "/runner_shards/r", "a shard must be a list", 1 },
	{ "{'revision':1,'runner_shards':{'r':'http://h'}}", "/runner_shards/r",
	    "a shard must be a list", 1 },
	{ "{'revision':1,'runner_shards':{'r r':['http://h']}}", "/runner_shards/r r",
	    "a shard's name", 1 },
	{ "{'revision':1,'runner_shards':{'r':['ftp://h']}}", "/runner_shards/r/0",
	    "bad URL: the scheme", 1 },
	{ "{'revision':1,'runner_shards':{'r':[7]}}", "/runner_shards/r/0", "an endpoint must be", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'weight':1}]}}", "/runner_shards/r/0",
	    "the key url is missing", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':'http://h','weight':0}]}}",
	    "/runner_shards/r/0/weight", "it must be a whole number from 1 to 100", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':'http://h','weight':101}]}}",
	    "/runner_shards/r/0/weight", "it must be a whole number from 1 to 100", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':7}]}}", "/runner_shards/r/0/url",
	    "it must be a string", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':'http://h','zone':'b'}]}}",
	    "/runner_shards/r/0/zone", "unknown key", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':'http://h','admin':'grpc://h'}]}}",
	    "/runner_shards/r/0/admin", "bad URL: the scheme of an admin URL", 1 },
	{ "{'revision':1,'runner_shards':{'r':[{'url':'http://h','admin':null}]}}",
	    "/runner_shards/r/0/admin", "it must be a string", 1 },
	{ "{'revision':1,'runner_shards':{'r':['http://h','https://h','grpc://h']}}", "/runner_shards/r/2",
	    "the endpoints of a shard must be", 1 },
	{ "{'revision':1,'aggregate_shards':{'a':[{'url':'grpcs://h'},'grpc://h','http://h']}}",
	    "/aggregate_shards/a/2", "the endpoints of a shard must be", 1 },
	{ "{'revision':-1,'x':1,'runner_shards':{'r':['http://']},'runner_placement':{'a':'b','c':'d'},"
	  "'aggregate_shards':7}", "/x", "unknown key", 6 },
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		json_t *list, *first;
		struct route_table *t = NULL;
		struct fail f = { 0 };

		assert_int_equal(try(NULL, false, bad[i].doc, &t, &f), E_ROUTING_INVALID);
		list = json_object_get(f.details, "faults");
		if (json_array_size(list) != bad[i].faults)
			fail_msg("%s: %zu faults: %s", bad[i].doc, json_array_size(list), fail_text(&f));
		first = json_array_get(list, 0);
		assert_string_equal(json_string_value(json_object_get(first, "path")), bad[i].path);
		if (strncmp(json_string_value(json_object_get(first, "error")), bad[i].error,
		        strlen(bad[i].error)) != 0)
			fail_msg("%s: %s", bad[i].doc, fail_text(&f));
		fail_clear(&f);
	}
}

static void test_many_faults(void **state)
{
	json_t *d = json_pack("{s:i, s:{}}", "revision", 1, "runner_placement"), *list;
	struct route_table *t;
	struct fail f = { 0 };
	char name[32], *text;

	(void)state;
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof name, "t%d", i);
		json_object_set_new(json_object_get(d, "runner_placement"), name, json_string("gone"));
	}
	text = json_dumps(d, 0);
	assert_int_equal(try(NULL, false, text, &t, &f), E_ROUTING_INVALID);
	free(text);
	list = json_object_get(f.details, "faults");
	assert_int_equal(json_array_size(list), 100);
	assert_int_equal(json_integer_value(json_object_get(f.details, "more")), 150);
	fail_clear(&f);
	json_decref(d);
}

static const struct {
	const char *url, *host, *base; /* host NULL: refused */
	enum route_scheme scheme;
	uint16_t port;
} urls[] = {
	{ "http://h", "h", "", SCHEME_HTTP, 80 },
	{ "https://h/", "h", "", SCHEME_HTTPS, 443 },
	{ "grpc://node-1.example:50051", "node-1.example", "", SCHEME_GRPC, 50051 },
	{ "grpcs://[2001:db8::1]", "2001:db8::1", "", SCHEME_GRPCS, 443 },
	{ "http://[::1]:8080/a/b//", "::1", "/a/b", SCHEME_HTTP, 8080 },
	{ "http://127.0.0.1:65535", "127.0.0.1", "", SCHEME_HTTP, 65535 },
	{ "http://my_node:1", "my_node", "", SCHEME_HTTP, 1 },
	{ "", NULL }, { "http://", NULL }, { "h", NULL }, { "HTTP://h", NULL },
	{ "ftp://h", NULL }, { "http:/h", NULL }, { "http:///p", NULL }, { "http://:80", NULL },
	{ "http://h:0", NULL }, { "http://h:65536", NULL }, { "http://h:", NULL },
	{ "http://h:8o", NULL }, { "http://u@h", NULL }, { "http://u:p@h", NULL },
	{ "http://h?q", NULL }, { "http://h/p?q", NULL }, { "http://h/#f", NULL },
	{ "http://h h", NULL }, { "http://h/a b", NULL }, { "http://h/../x", NULL },
	{ "http://h/./x", NULL }, { "http://10.0.0.300", NULL }, { "http://1.2.3", NULL },
	{ "http://[::1", NULL }, { "http://[::g]", NULL }, { "http://[::1]x", NULL },
	{ "http://::1", NULL }, { "http://-h", NULL }, { "http://a..b", NULL },
	{ "http://h\r\nx: y", NULL }, { "http://h/\x7f", NULL },
};

static void test_urls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct route_endpoint e = { 0 };
		const char *why = route_url_parse(str_c(urls[i].url), &e);

		if ((why == NULL) != (urls[i].host != NULL))
			fail_msg("%s: %s", urls[i].url, why != NULL ? why : "accepted");
		if (why != NULL)
			continue;
		assert_str(e.host, urls[i].host);
		assert_str(e.base, urls[i].base);
		assert_int_equal(e.scheme, urls[i].scheme);
		assert_int_equal(e.port, urls[i].port);
	}
}

/* ---- patches ---------------------------------------------------------------------------------- */

static const struct {
	const char *patch, *want; /* sections that the result has; want NULL: refused, with this many faults */
	size_t faults;
} patches[] = {
	{ "{'revision':8}", "{'revision':8}", 0 },
	{ "{'revision':8,'nonsense':null}", "{'revision':8}", 0 },
	{ "{'revision':8,'projection_placement':{'acme':null}}",
	  "{'projection_placement':{'acme':null},'revision':8}", 0 },
	{ "{'revision':8,'projection_placement':{'nobody':null,'No Body':null}}", "{'revision':8}", 0 },
	{ "{'revision':8,'aggregate_placement':{'acme':'a2','*':'a1','globex':'a1'}}",
	  "{'aggregate_placement':{'*':'a1','acme':'a2','globex':'a1'},'revision':8}", 0 },
	{ "{'revision':8,'aggregate_placement':{'*':null}}",
	  "{'aggregate_placement':{'*':null},'revision':8}", 0 },
	{ "{'revision':8,'aggregate_placement':null,'aggregate_shards':null}",
	  "{'aggregate_placement':{'*':null,'acme':null},'aggregate_shards':{'a1':null,'a2':null},"
	  "'revision':8}", 0 },
	{ "{'revision':8,'runner_shards':{'r1':['http://10.0.0.4:80']}}",
	  "{'revision':8,'runner_shards':{'r1':['http://10.0.0.4:80']}}", 0 },
	{ "{'revision':8,'runner_shards':{'r1':[{'url':'http://10.0.0.3:8080',"
	  "'admin':'http://10.0.0.3:8081','weight':2}]}}", "{'revision':8}", 0 },
	/* a shard goes and another comes, and nobody is on the new one because of the old one */
	{ "{'revision':8,'runner_shards':{'r1':null,'r2':['http://h']}}", NULL, 1 },
	{ "{'revision':8,'runner_shards':{'r1':null,'r2':['http://h']},'runner_placement':{'acme':'r2'}}",
	  "{'revision':8,'runner_placement':{'acme':'r2'},'runner_shards':{'r1':null,'r2':['http://h']}}", 0 },
	{ "{'revision':8,'aggregate_shards':{'a2':null}}", NULL, 1 },
	{ "{'revision':8,'aggregate_shards':null}", NULL, 2 },
	{ "{'revision':8,'aggregate_shards':[]}", NULL, 1 },
	{ "{'revision':8,'aggregate_shards':{'a1':{}}}", NULL, 1 },
	{ "{'revision':8,'aggregate_shards':{'a1':[]}}", NULL, 1 },
	{ "{'revision':8,'aggregate_placement':{'x':'gone','Y':'a1','z':7}}", NULL, 3 },
	{ "{'revision':8,'nonsense':{}}", NULL, 1 },
	{ "{'revision':null}", NULL, 1 },
	{ "{}", NULL, 1 },
};

static void swap_quotes(char *z)
{
	for (; *z != '\0'; z++)
		if (*z == '"')
			*z = '\'';
}

static void test_patches(void **state)
{
	struct route_table *t = table(good), *next, *again;
	struct buf patch, a, b;

	(void)state;
	buf_init(&patch, 1 << 20);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
		struct route_diff d;
		struct fail f = { 0 };
		enum err e = try(t, true, patches[i].patch, &next, &f);

		if ((e == OK) != (patches[i].want != NULL) || (e != OK && e != E_ROUTING_INVALID))
			fail_msg("%s: %s", patches[i].patch, fail_text(&f));
		assert_int_equal(json_array_size(json_object_get(f.details, "faults")), patches[i].faults);
		fail_clear(&f);
		if (e != OK)
			continue;
		buf_clear(&patch);
		buf_clear(&a);
		buf_clear(&b);
		assert_int_equal(route_diff_make(t, next, &d), OK);
		assert_int_equal(route_diff_write(&d, ROUTE_PATCH, 8, &patch), OK);
		route_diff_release(&d);
		buf_cstr(&patch);
		swap_quotes(patch.p);
		assert_string_equal(patch.p, patches[i].want);
		assert_int_equal(try(t, true, patch.p, &again, NULL), OK);
		route_table_write(next, &a);
		route_table_write(again, &b);
		assert_string_equal(buf_cstr(&a), buf_cstr(&b));
		route_table_unref(next);
		route_table_unref(again);
	}
	route_table_unref(t);
	buf_release(&patch);
	buf_release(&a);
	buf_release(&b);
}

static void test_sides(void **state)
{
	struct route_table *t = table(good), *next;
	struct route_diff d;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(try(t, true, "{'revision':8,'aggregate_placement':{'acme':'a2','globex':'a1'},"
	    "'projection_placement':{'acme':null}}", &next, NULL), OK);
	assert_int_equal(route_diff_make(t, next, &d), OK);
	assert_int_equal(route_diff_write(&d, ROUTE_BEFORE, 7, &b), OK);
	assert_string_equal(buf_cstr(&b), "{\"aggregate_placement\":{\"acme\":\"a1\"},"
	    "\"projection_placement\":{\"acme\":\"p1\"},\"revision\":7}");
	buf_clear(&b);
	assert_int_equal(route_diff_write(&d, ROUTE_AFTER, 8, &b), OK);
	assert_string_equal(buf_cstr(&b), "{\"aggregate_placement\":{\"acme\":\"a2\","
	    "\"globex\":\"a1\"},\"projection_placement\":{},\"revision\":8}");
	route_diff_release(&d);
	buf_release(&b);
	route_table_unref(t);
	route_table_unref(next);
}

/* The old table is as it was, whatever was built onto it; its shards live as long as it does. */
static void test_old_table_stays(void **state)
{
	struct route_table *t = table(good), *next;
	const struct route_shard *s = route_resolve(t, ROUTE_AGGREGATE, STR("acme"));

	(void)state;
	assert_int_equal(try(t, true, "{'revision':8,'aggregate_shards':{'a1':['grpc://10.9.9.9:1'],"
	    "'a2':null},'aggregate_placement':{'*':null}}", &next, NULL), OK);
	assert_str(s->endpoints[0].host, "10.0.0.1");
	assert_ptr_equal(route_resolve(t, ROUTE_AGGREGATE, STR("acme")), s);
	assert_str(route_resolve(next, ROUTE_AGGREGATE, STR("acme"))->endpoints[0].host, "10.9.9.9");
	assert_null(route_resolve(next, ROUTE_AGGREGATE, STR("other")));
	assert_non_null(route_resolve(t, ROUTE_AGGREGATE, STR("other")));
	assert_ptr_equal(route_resolve(t, ROUTE_RUNNER, STR("acme")),
	    route_resolve(next, ROUTE_RUNNER, STR("acme")));
	route_table_unref(t);
	assert_str(route_resolve(next, ROUTE_RUNNER, STR("acme"))->endpoints[0].host, "10.0.0.3");
	route_table_unref(next);
}

static const char *const no_json[] = {
	"", " ", "{", "{'revision':1", "{'revision':1}}", "{'revision':1}x", "{'revision':01}",
	"{'revision':1,}", "{'revision' 1}", "{'a':nul}", "{'runner_shards':{'r':[}}}",
	"{'runner_shards':{'r':['http://h',]}}", "{'runner_placement':{'a':'b' 'c':'d'}}",
	"{'revision':1,'revision':1}", "{'runner_placement':{},'runner_placement':{}}",
	"{'revision':1,'runner_shards':{'r':['http://h'],'r':['http://h']}}",
	"{'revision':1,'runner_shards':{'r':['http://h']},'runner_placement':{'a':'r','b':'r','a':'r'}}",
	"{'revision':1,'runner_shards':{'r':['http://h']},'runner_placement':{'*':'r','a':'r','*':'r'}}",
	"{'revision':1,'runner_placement':{'*':null,'*':null}}",
	"{'revision':1,'runner_shards':{'r':[{'url':'http://h','url':'http://h'}]}}",
	"{'revision':1,'runner_placement':{'\\u0000':'r'}}", "{'revision':1,'x':'\xff'}",
	"{'revision':1,'x':'\\ud800'}", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
};

static void test_no_json(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_json / sizeof no_json[0]; i++)
		for (int patch = 0; patch < 2; patch++) {
			struct route_table *t = NULL;
			struct fail f = { 0 };

			if (try(NULL, patch, no_json[i], &t, &f) != E_BAD_JSON)
				fail_msg("%s: %s", no_json[i], fail_text(&f));
			fail_clear(&f);
		}
}

static void test_place_of_bad_json(void **state)
{
	struct route_table *t;
	struct fail f = { 0 };

	(void)state;
	assert_int_equal(try(NULL, false, "{'revision':1,\n 'x' }", &t, &f), E_BAD_JSON);
	assert_string_equal(fail_text(&f), "line 2 column 5: this is no JSON");
}

#define MANY 100000

/* To be freed. */
static char *big_document(void)
{
	json_t *d = json_pack("{s:i}", "revision", 1), *p, *s;
	char name[32], url[64], *text;

	for (int k = 0; k < ROUTE__KINDS; k++) {
		snprintf(name, sizeof name, "%s_placement", route_kind_name((enum route_kind)k));
		json_object_set_new(d, name, p = json_object());
		snprintf(name, sizeof name, "%s_shards", route_kind_name((enum route_kind)k));
		json_object_set_new(d, name, s = json_object());
		for (int i = 0; i < 64; i++) {
			snprintf(name, sizeof name, "s%d", i);
			snprintf(url, sizeof url, "http://10.0.0.%d:8080", i);
			json_object_set_new(s, name, json_pack("[s]", url));
		}
		for (int i = 0; i < MANY; i++) {
			snprintf(name, sizeof name, "tenant-%d", i);
			snprintf(url, sizeof url, "s%d", i % 64);
			json_object_set_new(p, name, json_string(url));
		}
	}
	text = json_dumps(d, JSON_COMPACT);
	json_decref(d);
	return text;
}

static void test_big(void **state)
{
	char *text = big_document();
	struct route_table *t;
	int64_t from = clock_mono(), built, looked;
	char name[32], want[16], patch[128];

	(void)state;
	assert_int_equal(route_table_read(text, strlen(text), &t, NULL), OK);
	built = clock_mono();
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "tenant-%d", i);
		snprintf(want, sizeof want, "s%d", i % 64);
		assert_true(str_eqc(route_resolve(t, ROUTE_RUNNER, str_c(name))->name, want));
	}
	looked = clock_mono();
	assert_null(route_resolve(t, ROUTE_RUNNER, STR("tenant-100000")));
	print_message("3 x %d placements read in %.1f ms, %d looked up in %.1f ms\n", MANY,
	    (double)(built - from) / 1000, MANY, (double)(looked - built) / 1000);
	from = clock_mono();
	for (int i = 0; i < 1000; i++) {
		struct route_table *next;

		snprintf(patch, sizeof patch, "{'revision':%d,'runner_placement':{'tenant-%d':'s%d'}}", i + 2,
		    i * 7, i % 64);
		assert_int_equal(try(t, true, patch, &next, NULL), OK);
		route_table_unref(t);
		t = next;
	}
	print_message("one of them moved in %.1f us\n", (double)(clock_mono() - from) / 1000);
	route_table_unref(t);
	free(text);
}

static void no_memory_for_a_patch(void)
{
	struct route_table *t = table(good);
	enum err e = E_NOMEM;

	for (long n = 1; e != OK; n++) {
		struct route_table *next = NULL;

		heap_fail_after(n);
		e = try(t, true, "{'revision':8,'aggregate_shards':{'a3':['grpc://h'],'a2':null},"
		    "'aggregate_placement':{'*':'a3','x':'a1'}}", &next, NULL);
		heap_fail_after(0);
		assert_true(e == OK || e == E_NOMEM);
		assert_true((next != NULL) == (e == OK));
		route_table_unref(next);
	}
	route_table_unref(t);
}

/* Whatever allocation fails, the answer is E_NOMEM (or the fault) and nothing leaks (asan). */
static void test_no_memory(void **state)
{
	enum err e = E_NOMEM;

	(void)state;
	for (long n = 1; e != OK; n++) {
		struct route_table *t = NULL;

		heap_fail_after(n);
		e = try(NULL, false, good, &t, NULL);
		heap_fail_after(0);
		assert_true(e == OK || e == E_NOMEM);
		assert_true((t != NULL) == (e == OK));
		route_table_unref(t);
	}
	no_memory_for_a_patch();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_star_is_no_tenant),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_write_canonical),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_many_faults),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_patches),
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_old_table_stays),
		cmocka_unit_test(test_no_json),
		cmocka_unit_test(test_place_of_bad_json),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
