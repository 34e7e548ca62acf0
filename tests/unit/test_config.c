#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"

static char dir[] = "/tmp/test_config.XXXXXX";
static char file[64];

static int setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof file, "%s/gateway.yaml", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

static void put(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static enum err load(struct config *c, const char *yaml, char **env, char *override, struct fail *f)
{
	char *args[] = { override };

	if (yaml != NULL)
		put(yaml);
	return config_load(c, yaml != NULL ? file : NULL, args, override != NULL, env, f);
}

/* Loads what must be refused, and looks for every expected piece in the message. */
static void refuse(const char *yaml, char *env, char *override, const char *want)
{
	struct config *c = config_new();
	struct fail f = { 0 };
	char *envs[] = { env, NULL };

	assert_int_equal(load(c, yaml, envs, override, &f), E_CONFIG);
	if (strstr(f.text, want) == NULL)
		fail_msg("%s\nhas no: %s", f.text, want);
	fail_clear(&f);
	config_free(c);
}

static struct config *accept(const char *yaml, char *env, char *override)
{
	struct config *c = config_new();
	struct fail f = { 0 };
	char *envs[] = { "HOME=/", env, NULL };

	if (load(c, yaml, envs, override, &f) != OK)
		fail_msg("%s", f.text);
	return c;
}

/* ---- the table ---- */

static void test_table(void **state)
{
	static const char *const fields[] = {
#define K(field, ...) #field,
#include "base/config.def"
#undef K
	};

	(void)state;
	for (int i = 0; i < CONFIG__COUNT; i++) {
		char want[64];

		snprintf(want, sizeof want, "%s", config_keys[i].name);
		for (char *p = want; *p != '\0'; p++)
			if (*p == '.')
				*p = '_';
		assert_string_equal(fields[i], want);
		assert_true(config_keys[i].help[0] != '\0');
		for (int k = 0; k < i; k++)
			assert_string_not_equal(fields[i], fields[k]);
	}
}

static void test_defaults(void **state)
{
	struct config *c = accept(NULL, NULL, NULL);
	struct fail f = { 0 };

	(void)state;
	assert_string_equal(c->listen_http.host, "127.0.0.1");
	assert_int_equal(c->listen_http.port, 8080);
	assert_int_equal(c->auth_access_ttl, 300 * CLOCK_SEC);
	assert_int_equal(c->limits_body, 1 << 20);
	assert_int_equal(c->auth_signup, SIGNUP_VERIFY);
	assert_null(c->nats_url);
	assert_null(c->auth_issuer);
	assert_int_equal(config_resolve(c, &f), OK);
	assert_string_equal(c->auth_issuer, "http://127.0.0.1:8080");
	assert_true(c->store_auto_migrate);
	assert_true(c->workers >= 1);
	c->listen_http.bound = 4711;
	assert_int_equal(config_resolve(c, &f), OK);
	assert_string_equal(c->auth_issuer, "http://127.0.0.1:4711");
	config_free(c);
}

/* ---- the order ---- */

static void test_order(void **state)
{
	struct config *c = accept("listen: {http: '[::1]:0'}\nlog.level: warn\nauth:\n  signup: off\n",
	    "GATEWAYD_LOG_LEVEL=error", NULL);

	(void)state;
	assert_string_equal(c->listen_http.host, "::1");
	assert_int_equal(c->listen_http.port, 0);
	assert_int_equal(c->log_level, 3);
	assert_int_equal(c->auth_signup, SIGNUP_OFF);
	assert_int_equal(c->origin[CONFIG_ID_log_level], CONFIG_ENVIRONMENT);
	assert_int_equal(c->origin[CONFIG_ID_auth_signup], CONFIG_FILE);
	config_free(c);
	c = accept("log.level: warn\n", "GATEWAYD_LOG_LEVEL=error", "log.level=debug");
	assert_int_equal(c->log_level, 0);
	config_free(c);
}

static void test_env_file(void **state)
{
	char env[128], path[80];
	struct config *c;
	FILE *f;

	(void)state;
	snprintf(path, sizeof path, "%s/key", dir);
	snprintf(env, sizeof env, "GATEWAYD_AUTH_MASTER_KEY_FILE=%s", path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("c2VjcmV0\n", f);
	fclose(f);
	c = accept(NULL, env, NULL);
	assert_int_equal(c->auth_master_key.n, 8);
	assert_memory_equal(c->auth_master_key.p, "c2VjcmV0", 8);
	config_free(c);
	unlink(path);
	refuse(NULL, env, NULL, "No such file");
}

static void test_lists(void **state)
{
	struct config *c = accept("cors.origins: [https://a.example, \"https://b.example\"]\n"
	    "trusted_proxies:\n  - 10.0.0.0/8\n  - ::1\n", NULL, NULL);
	uint8_t addr[16];

	(void)state;
	assert_int_equal(c->cors_origins.n, 2);
	assert_string_equal(c->cors_origins.v[1], "https://b.example");
	assert_int_equal(c->trusted_proxies.n, 2);
	assert_true(cidr_parse_addr(STR("10.255.0.1"), addr));
	assert_true(cidr_match(&c->trusted_proxies.v[0], addr));
	assert_true(cidr_parse_addr(STR("11.0.0.1"), addr));
	assert_false(cidr_match(&c->trusted_proxies.v[0], addr));
	config_free(c);
	c = accept(NULL, "GATEWAYD_CORS_ORIGINS=https://a.example, https://c.example", NULL);
	assert_int_equal(c->cors_origins.n, 2);
	assert_string_equal(c->cors_origins.v[1], "https://c.example");
	config_free(c);
	c = accept("cors.origins: ['*']\n", "GATEWAYD_NATS_URL=", NULL);
	assert_string_equal(c->cors_origins.v[0], "*");
	config_free(c);
}

static void test_issuers(void **state)
{
	struct config *c = accept("issuers:\n"
	    "  - issuer: https://id.example\n    audience: gw\n    jwks: https://id.example/jwks\n"
	    "  - {issuer: i, audience: a, jwks: keys.json, subject_claim: uid, algs: [EdDSA]}\n"
	    "workers: 3\n", NULL, NULL);

	(void)state;
	assert_int_equal(c->issuers.n, 2);
	assert_string_equal(c->issuers.v[0].subject_claim, "sub");
	assert_int_equal(c->issuers.v[0].algs.n, 2);
	assert_string_equal(c->issuers.v[1].subject_claim, "uid");
	assert_int_equal(c->issuers.v[1].algs.n, 1);
	assert_int_equal(c->workers, 3);
	config_free(c);
	c = accept(NULL, NULL, "issuers=[{\"issuer\":\"i\",\"audience\":\"a\",\"jwks\":\"k\",\"algs\":"
	    "[\"ES256\"]}]");
	assert_int_equal(c->issuers.n, 1);
	assert_int_equal(c->issuers.v[0].algs.n, 1);
	config_free(c);
}

static void test_empty_files(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "---\n", "---\n...\n", "{}\n", "~\n" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		config_free(accept(texts[i], NULL, NULL));
}

/* ---- refusals ---- */

static void test_refused_files(void **state)
{
	static const char *const rows[][2] = {
		{ "a: 1\nlisten:\n  htp: x:1\n", ":1: a: unknown key" },
		{ "listen:\n  htp: x:1\n", ":2: listen.htp: unknown key; did you mean listen.http?" },
		{ "listen: 7\n", ":1: listen: unknown key" },
		{ "log: {level: loud}\n", ":1: log.level: \"loud\" must be debug, info, warn or error" },
		{ "listen.http: 8080\n", "listen.http: \"8080\" must be HOST:PORT" },
		{ "listen.http: a:65536\n", "must be HOST:PORT with a port from 0 to 65535" },
		{ "listen.http: ::1:80\n", "an IPv6 address in brackets" },
		{ "limits.body: 2GiB\n", "limits.body: \"2GiB\" must be a size (bytes, or with KiB, MiB, "
		  "GiB) from 0B to 1GiB" },
		{ "limits.body: -1\n", "limits.body: \"-1\" must be a size" },
		{ "limits.body: 99999999999999999999\n", "must be a size" },
		{ "auth.refresh_grace: 61s\n", "must be a duration (seconds, or with ms, s, m, h, d) from "
		  "0s to 1m" },
		{ "auth.access_ttl: 0\n", "from 1s to 1d" },
		{ "workers: many\n", "workers: \"many\" must be a number from 1 to 1024" },
		{ "access_log: maybe\n", "access_log: \"maybe\" must be true or false" },
		{ "store.url: postgres:x\n", "store.url: \"postgres:x\" must be sqlite:*, rqlite:http://* or "
		  "rqlite:https://*" },
		{ "cors.origins: [ftp://x]\n", "cors.origins: \"ftp://x\" must be *, http://* or https://*" },
		{ "trusted_proxies: 10.0.0.1/8\n", "must be networks like 10.0.0.0/8" },
		{ "workers: [1, 2]\n", ":1: workers: must be one int, not a list" },
		{ "workers: 1\nworkers: 2\n", ":2: workers: given twice" },
		{ "listen: {http: 'a:1'}\nlisten.http: b:1\n", ":2: listen.http: given twice" },
		{ "workers:\n", ":1: workers: has no value" },
		{ "workers: ~\n", "workers: has no value" },
		{ "workers: &a 1\n", ":1: anchors, aliases and tags are not allowed" },
		{ "log.level: *a\n", "anchors, aliases and tags are not allowed" },
		{ "workers: !!int 1\n", "anchors, aliases and tags are not allowed" },
		{ "workers: \"1\n", "not YAML" },
		{ "\tworkers: 1\n", "not YAML" },
		{ "- a\n", "must be a map of keys" },
		{ "workers\n", "must be a map of keys" },
		{ "workers: 1\n---\nworkers: 2\n", "only one document is allowed" },
		{ "? [a]\n: 1\n", "a key must be plain text" },
		{ "a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}\n", "nested too deep" },
		{ "cors.origins: [[a]]\n", "must be a list of plain values" },
		{ "issuers: x\n", "issuers: must be a list of maps" },
		{ "issuers: {a: b}\n", "issuers: must be a list of maps" },
		{ "issuers: [x]\n", "issuers: must be a list of maps" },
		{ "issuers: [{issuer: a, jwks: c}]\n", "issuer and audience are required" },
		{ "issuers: [{issuer: a, audience: '', jwks: c}]\n", "issuer and audience are required" },
		{ "issuers: [{audience: b, jwks: c}]\n", "issuer and audience are required" },
		{ "issuers: [{issuer: a, audience: b, jwks: c, alg: x}]\n", "issuers: alg: unknown" },
		{ "issuers: [{issuer: a, audience: b, jwks: c, algs: [HS256]}]\n", "\"HS256\" must be" },
		{ "issuers: [{issuer: a, issuer: b}]\n", "must be one text, given once" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		refuse(rows[i][0], NULL, NULL, rows[i][1]);
}

static void test_refused_arguments(void **state)
{
	(void)state;
	refuse(NULL, "GATEWAYD_LISTEN_HTP=x", NULL, "environment: GATEWAYD_LISTEN_HTP: unknown key");
	refuse(NULL, "GATEWAYD_WORKERS=x", NULL, "environment: workers: \"x\" must be a number");
	refuse(NULL, "GATEWAYD_WORKERS_FILE=", NULL, "no file name");
	refuse(NULL, NULL, "workers", "-o: workers: needs a value");
	refuse(NULL, NULL, "wokers=1", "-o: wokers: unknown key; did you mean workers?");
	refuse(NULL, NULL, "auth.master_key=abc", "holds a secret");
	refuse(NULL, NULL, "mail.url=smtp://u:p@h", "holds a secret");
	refuse(NULL, NULL, "issuers=[{", "-o:2: not YAML");
	config_free(accept(NULL, "GATEWAYD_SERVICE_HOST=10.0.0.1", NULL));
	config_free(accept(NULL, "GATEWAYD_PORT_8080_TCP=tcp://10.0.0.1", NULL));
}

static void test_all_faults_named(void **state)
{
	struct config *c = config_new();
	struct fail f = { 0 };

	(void)state;
	assert_int_equal(load(c, "workers: x\nlog.levl: info\nmail.url: http://u:hunter2@h\n", NULL, NULL,
	    &f), E_CONFIG);
	assert_int_equal(json_array_size(json_object_get(f.details, "faults")), 3);
	assert_null(strstr(json_string_value(json_array_get(json_object_get(f.details, "faults"), 2)),
	    "hunter2"));
	fail_clear(&f);
	config_free(c);
}

static void check_resolve(const char *yaml, const char *want)
{
	struct config *c = accept(yaml, NULL, NULL);
	struct fail f = { 0 };

	assert_int_equal(config_resolve(c, &f), E_CONFIG);
	if (strstr(f.text, want) == NULL)
		fail_msg("%s\nhas no: %s", f.text, want);
	fail_clear(&f);
	config_free(c);
}

static void test_resolve_refuses(void **state)
{
	(void)state;
	check_resolve("tls.cert: a.pem\n", "tls.cert: given without tls.key");
	check_resolve("upstream.key: a.pem\n", "upstream.key: given without upstream.cert");
	check_resolve("tls.client_ca: a.pem\n", "tls.client_ca: given without tls.cert");
	check_resolve("store.url: rqlite:http://a:1\n", "auth.master_key: must be given with rqlite");
	check_resolve("routing.source: nats:b/k\n", "needs nats.url");
	check_resolve("auth.issuer: http://a\nissuers: [{issuer: 'http://a', audience: b}]\n",
	    "its tokens are our own");
	check_resolve("issuers: [{issuer: a, audience: b}, {issuer: a, audience: c}]\n", "there twice");
	check_resolve("oidc.google.client_id: x\n", "given without oidc.google.client_secret");
}

/* ---- reload ---- */

static void test_keep_fixed(void **state)
{
	struct config *cur = accept("listen.http: 127.0.0.1:0\nlog.level: info\n", NULL, NULL);
	struct config *next = accept("listen.http: 127.0.0.1:0\nlog.level: warn\nworkers: 9\n"
	    "store.url: sqlite:other.db\nissuers: [{issuer: a, audience: b, jwks: c}]\n", NULL, NULL);
	bool changed[CONFIG__COUNT];
	struct fail f = { 0 };
	int n = 0;

	(void)state;
	cur->listen_http.bound = 4711;
	assert_int_equal(config_resolve(cur, &f), OK);
	assert_int_equal(config_keep_fixed(next, cur, changed), OK);
	assert_int_equal(config_resolve(next, &f), OK);
	for (int i = 0; i < CONFIG__COUNT; i++)
		n += changed[i];
	assert_int_equal(n, 3);
	assert_true(changed[CONFIG_ID_workers] && changed[CONFIG_ID_store_url] &&
	    changed[CONFIG_ID_issuers]);
	assert_string_equal(next->store_url, "sqlite:gateway.db");
	assert_int_equal(next->workers, cur->workers);
	assert_int_equal(next->issuers.n, 0);
	assert_int_equal(next->log_level, 2);
	assert_int_equal(next->listen_http.bound, 4711);
	assert_string_equal(next->auth_issuer, "http://127.0.0.1:4711");
	config_free(cur);
	config_free(next);
}

/* Every allocation that fails is reported, and nothing leaks (ASan looks). */
static void test_no_memory(void **state)
{
	struct config *c;
	struct fail f = { 0 };
	enum err e = E_NOMEM;

	(void)state;
	put("store.url: sqlite:x.db\ncors.origins: [https://a, https://b]\ntrusted_proxies: ['::1']\n"
	    "issuers: [{issuer: a, audience: b, jwks: c}]\nauth.master_key: abcd\n");
	for (long n = 1; e != OK; n++) {
		assert_true(n < 1000);
		heap_fail_after(n);
		c = config_new();
		e = c != NULL ? config_load(c, file, NULL, 0, NULL, &f) : E_NOMEM;
		heap_fail_after(0);
		if (e != OK && e != E_NOMEM)
			fail_msg("allocation %ld: %s", n, fail_text(&f));
		fail_clear(&f);
		config_free(c);
	}
}

/* ---- nothing between the quotes ---- */

static bool is_text(enum config_kind k)
{
	return k == CONFIG_STRING || k == CONFIG_PATH || k == CONFIG_URL;
}

/* What always has a value says so; everything else is then not there, and start-up sees it as that. */
static void test_empty_values(void **state)
{
	(void)state;
	for (int i = 0; i < CONFIG__COUNT; i++) {
		const struct config_key *k = &config_keys[i];
		char arg[128];

		if (!is_text(k->kind))
			continue;
		snprintf(arg, sizeof arg, "%s=", k->name);
		if (k->def != NULL)
			refuse(NULL, NULL, arg, "must not be empty");
		else
			config_free(accept(NULL, NULL, arg));
	}
	check_resolve("auth.issuer: ''\n", "auth.issuer: must not be empty");
	check_resolve("mail.link_base: ''\n", "mail.link_base: must not be empty");
	check_resolve("oidc.google.redirect_uri: ''\n", "oidc.google.redirect_uri: must not be empty");
	refuse("issuers: [{issuer: a, audience: b, scope_claim: ''}]\n", NULL, NULL,
	    "scope_claim must not be empty");
	refuse("issuers: [{issuer: a, audience: b, jwks: }]\n", NULL, NULL, "jwks must not be empty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_env_file),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_issuers),
		cmocka_unit_test(test_empty_files),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_refused_arguments),
		cmocka_unit_test(test_all_faults_named),
		cmocka_unit_test(test_resolve_refuses),
		cmocka_unit_test(test_empty_values),
		cmocka_unit_test(test_keep_fixed),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
