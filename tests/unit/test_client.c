#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "client/client.h"
#include "client/contexts.h"
#include "loopback.h"

/* ---- a gateway ---- */

/* Signs in one user, rotates refresh tokens strictly, and answers /echo with what it saw. */
struct gateway {
	struct loopback http;
	int generation; /* of tokens: access-N and refresh-N are good */
	int expires_in;
	int refreshes, reused;
	bool revoked, mfa;
	int fail_status;   /* of every call; 0: none */
	char fail_body[512];
	char last_auth[128], last_key[64], last_match[64], last_body[1024], last_path[256];
};

static char dir[] = "/tmp/test_client.XXXXXX";

static void error(struct loopback_answer *a, int status, const char *code, const char *details)
{
	a->status = status;
	snprintf(a->body, sizeof a->body, "{\"code\":\"%s\",\"error\":\"no: %s\",\"details\":%s,"
	    "\"request_id\":\"req-1\"}", code, code, details);
}

static void tokens(struct gateway *g, struct loopback_answer *a)
{
	g->generation++;
	snprintf(a->body, sizeof a->body, "{\"access_token\":\"access-%d\",\"token_type\":\"Bearer\","
	    "\"expires_in\":%d,\"refresh_token\":\"refresh-%d\",\"refresh_expires_in\":1000,"
	    "\"session_id\":\"s1\",\"user\":{\"id\":\"u1\",\"email\":\"a@b.c\"}}", g->generation,
	    g->expires_in, g->generation);
}

static void refresh(struct gateway *g, const struct loopback_request *q, struct loopback_answer *a)
{
	char want[64];

	snprintf(want, sizeof want, "{\"refresh_token\":\"refresh-%d\"}", g->generation);
	if (g->revoked || strcmp(q->body, want) != 0) {
		g->reused += !g->revoked;
		g->revoked = true;
		error(a, 401, "refresh_token_reused", "{}");
		return;
	}
	g->refreshes++;
	tokens(g, a);
}

static void authorized(struct gateway *g, const struct loopback_request *q, struct loopback_answer *a)
{
	char want[64];

	snprintf(want, sizeof want, "Bearer access-%d", g->generation);
	if (g->revoked || strcmp(g->last_auth, want) != 0)
		error(a, 401, "unauthenticated", "{}");
	else if (strcmp(q->path, "/v1/auth/signout") == 0)
		a->status = 204;
	else if (strcmp(q->path, "/empty") == 0)
		a->status = 204;
	else if (strcmp(q->path, "/text") == 0)
		snprintf(a->body, sizeof a->body, "<html>");
	else
		snprintf(a->body, sizeof a->body, "{\"path\":\"%s\"}", q->path);
}

static void answer(void *ctx, const struct loopback_request *q, struct loopback_answer *a)
{
	struct gateway *g = ctx;

	g->last_auth[0] = g->last_key[0] = g->last_match[0] = '\0';
	loopback_header(q, "Authorization", g->last_auth, sizeof g->last_auth);
	loopback_header(q, "Idempotency-Key", g->last_key, sizeof g->last_key);
	loopback_header(q, "If-Match", g->last_match, sizeof g->last_match);
	snprintf(g->last_body, sizeof g->last_body, "%.1000s", q->body);
	snprintf(g->last_path, sizeof g->last_path, "%.250s", q->path);
	snprintf(a->headers, sizeof a->headers, "ETag: \"7\"\r\nX-Correlation-Id: cid-1\r\n");
	if (g->fail_status != 0) {
		a->status = g->fail_status;
		snprintf(a->body, sizeof a->body, "%s", g->fail_body);
	} else if (strcmp(q->path, "/v1/auth/signin") == 0) {
		if (g->mfa)
			error(a, 401, "mfa_required", "{\"mfa_token\":\"mt\",\"methods\":[\"totp\"]}");
		else
			tokens(g, a);
	} else if (strcmp(q->path, "/v1/auth/mfa/verify") == 0) {
		tokens(g, a);
	} else if (strcmp(q->path, "/v1/auth/refresh") == 0) {
		refresh(g, q, a);
	} else {
		authorized(g, q, a);
	}
}

static void gateway_start(struct gateway *g)
{
	*g = (struct gateway){ .expires_in = 300 };
	loopback_start(&g->http, answer, g);
}

/* ---- helpers ---- */

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static void path_of(const char *name, char *out, size_t cap)
{
	snprintf(out, cap, "%s/%s", dir, name);
}

static int forget(void **state)
{
	char path[128];

	(void)state;
	path_of("contexts.json", path, sizeof path);
	unlink(path);
	path_of("contexts.json.lock", path, sizeof path);
	unlink(path);
	return 0;
}

static int teardown(void **state)
{
	forget(state);
	return rmdir(dir);
}

static struct client *open_client(const char *servers, const char *context, bool new_context)
{
	struct client_config c = { .servers = servers, .context = context, .dir = dir,
		.new_context = new_context };
	struct fail f = { 0 };
	struct client *out;

	if (client_new(&c, &out, &f) != OK)
		fail_msg("%s", fail_text(&f));
	return out;
}

static struct client *signed_in(const char *servers)
{
	struct client *c = open_client(servers, NULL, true);
	struct secret pw = { 0 };
	struct client_signin s = { .email = "a@b.c", .password = &pw };
	struct client_reply r;
	struct fail f = { 0 };

	assert_int_equal(secret_set(&pw, "pw", 2), OK);
	if (client_signin(c, &s, &r, &f) != OK)
		fail_msg("%s", fail_text(&f));
	client_reply_release(&r);
	secret_release(&pw);
	return c;
}

static enum err get(struct client *c, const char *path, struct client_reply *r, struct fail *f)
{
	struct client_request q = { .method = "GET", .path = path };

	return client_call(c, &q, r, f);
}

static enum err get_only(struct client *c, const char *path)
{
	struct client_reply r;
	struct fail f = { 0 };
	enum err e = get(c, path, &r, &f);

	client_reply_release(&r);
	fail_clear(&f);
	return e;
}

static json_t *stored(void)
{
	char path[128];
	json_t *o;

	path_of("contexts.json", path, sizeof path);
	o = json_load_file(path, 0, NULL);
	assert_non_null(o);
	return o;
}

/* ---- calls ---- */

static void test_call(void **state)
{
	struct gateway g;
	struct client *c;
	struct client_reply r;
	struct fail f = { 0 };
	json_t *body = json_pack("{si}", "a", 1);
	struct client_request q = { .method = "POST", .path = "/x?y=1", .body = body,
		.idempotency_key = "k-1", .if_match = "\"6\"" };

	(void)state;
	gateway_start(&g);
	c = signed_in(g.http.url);
	assert_int_equal(client_call(c, &q, &r, &f), OK);
	assert_int_equal(r.status, 200);
	assert_string_equal(json_string_value(json_object_get(r.body, "path")), "/x?y=1");
	assert_string_equal(r.etag, "\"7\"");
	assert_string_equal(r.request_id, "cid-1");
	assert_string_equal(g.last_auth, "Bearer access-1");
	assert_string_equal(g.last_key, "k-1");
	assert_string_equal(g.last_match, "\"6\"");
	assert_string_equal(g.last_body, "{\"a\":1}");
	client_reply_release(&r);
	assert_int_equal(get(c, "/empty", &r, &f), OK);
	assert_int_equal(r.status, 204);
	assert_null(r.body);
	assert_int_equal(get(c, "/text", &r, &f), E_BAD_UPSTREAM);
	fail_clear(&f);
	client_free(c);
	json_decref(body);
	loopback_stop(&g.http);
}

static void test_envelope(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum err err;
		const char *text;
	} rows[] = {
		{ 404, "{\"code\":\"not_found\",\"error\":\"no such tenant\",\"details\":{},"
		  "\"request_id\":\"r\"}", E_NOT_FOUND, "no such tenant" },
		{ 409, "{\"code\":\"last_admin\",\"error\":\"x\",\"details\":{\"a\":1}}", E_LAST_ADMIN, "x" },
		{ 409, "{\"code\":\"of_next_year\",\"error\":\"new\"}", E_CONFLICT, "new" },
		{ 400, "{\"code\":7}", E_BAD_REQUEST, "not from a gateway" },
		{ 502, "<html>bad gateway</html>", E_UPSTREAM_FAILED, "HTTP 502" },
		{ 418, "", E_BAD_REQUEST, "HTTP 418" },
		{ 500, "{\"code\":\"internal\",\"error\":\"oops\"}", E_INTERNAL, "oops" },
		{ 429, "{\"code\":\"rate_limited\",\"error\":\"slow\"}", E_RATE_LIMITED, "slow" },
	};
	struct gateway g;
	struct client *c;

	(void)state;
	gateway_start(&g);
	c = signed_in(g.http.url);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct client_reply r;
		struct fail f = { 0 };

		g.fail_status = rows[i].status;
		snprintf(g.fail_body, sizeof g.fail_body, "%s", rows[i].body);
		assert_int_equal(get(c, "/x", &r, &f), rows[i].err);
		if (strstr(fail_text(&f), rows[i].text) == NULL)
			fail_msg("%s: no %s", fail_text(&f), rows[i].text);
		assert_int_equal(r.status, rows[i].status);
		assert_string_equal(r.request_id, "cid-1");
		assert_int_equal(json_object_size(f.details), rows[i].err == E_LAST_ADMIN);
		client_reply_release(&r);
		fail_clear(&f);
	}
	client_free(c);
	loopback_stop(&g.http);
}

static void test_bad_servers(void **state)
{
	static const char *const rows[] = { "127.0.0.1:80", "ftp://x", "http://u:p@h", "http://", " , ",
		"http://a?b", "http:///x", "http://a b" };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct client_config c = { .servers = rows[i], .dir = dir };
		struct client *out;
		struct fail f = { 0 };

		assert_int_equal(client_new(&c, &out, &f), E_USAGE);
		assert_null(out);
		fail_clear(&f);
	}
}

static void test_escape(void **state)
{
	char path[32] = "/x/";

	(void)state;
	assert_true(client_escape(path, sizeof path, "a b/c?ü~"));
	assert_string_equal(path, "/x/a%20b%2Fc%3F%C3%BC~");
	assert_false(client_escape(path, sizeof path, "0123456789"));
}

/* ---- several servers ---- */

static void test_failover(void **state)
{
	struct gateway a, b;
	struct client *c;
	char servers[160];

	(void)state;
	gateway_start(&a);
	gateway_start(&b);
	snprintf(servers, sizeof servers, "%s,%s", a.http.url, b.http.url);
	c = signed_in(servers);
	a.generation = b.generation = 1;
	/* a 4xx is an answer; a 5xx and a dropped connection are not */
	a.fail_status = b.fail_status = 404;
	a.http.requests = b.http.requests = 0;
	assert_int_equal(get_only(c, "/x"), E_NOT_FOUND);
	assert_int_equal(a.http.requests + b.http.requests, 1);
	a.fail_status = 503;
	b.fail_status = 0;
	assert_int_equal(get_only(c, "/x"), OK);
	b.fail_status = 500;
	a.fail_status = 0;
	assert_int_equal(get_only(c, "/x"), OK);
	a.fail_status = b.fail_status = 503;
	a.http.requests = b.http.requests = 0;
	assert_int_equal(get_only(c, "/x"), E_NOT_READY);
	assert_int_equal(a.http.requests, 1);
	assert_int_equal(b.http.requests, 1);
	a.fail_status = b.fail_status = 0;
	loopback_stop(&a.http);
	assert_int_equal(get_only(c, "/x"), OK);
	loopback_stop(&b.http);
	assert_int_equal(get_only(c, "/x"), E_UNREACHABLE);
	client_free(c);
}

/* ---- sessions ---- */

static void test_signin_stores(void **state)
{
	struct gateway g;
	struct stat st;
	char path[128];
	json_t *o;
	const json_t *context;

	(void)state;
	gateway_start(&g);
	client_free(signed_in(g.http.url));
	path_of("contexts.json", path, sizeof path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	o = stored();
	assert_string_equal(json_string_value(json_object_get(o, "current")),
	    strstr(g.http.url, "127"));
	context = json_object_get(json_object_get(o, "contexts"), strstr(g.http.url, "127"));
	assert_string_equal(json_string_value(json_object_get(context, "refresh_token")), "refresh-1");
	assert_string_equal(json_string_value(json_object_get(context, "email")), "a@b.c");
	json_decref(o);
	/* and is used without naming the server */
	struct client *c = open_client(NULL, NULL, false);

	assert_int_equal(get_only(c, "/x"), OK);
	client_free(c);
	/* others must not be able to read it */
	assert_int_equal(chmod(path, 0644), 0);
	struct client_config conf = { .dir = dir };
	struct fail f = { 0 };

	assert_int_equal(client_new(&conf, &c, &f), E_LOCAL);
	assert_non_null(strstr(f.text, "chmod 600"));
	fail_clear(&f);
	loopback_stop(&g.http);
}

static void test_session_stays_home(void **state)
{
	struct gateway g, stranger;
	struct client *c;

	(void)state;
	gateway_start(&g);
	gateway_start(&stranger);
	client_free(signed_in(g.http.url));
	c = open_client(stranger.http.url, NULL, false);
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	client_free(c);
	c = open_client(stranger.http.url, strstr(g.http.url, "127"), false);
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	client_free(c);
	assert_int_equal(stranger.http.requests, 0);
	loopback_stop(&g.http);
	loopback_stop(&stranger.http);
}

static void test_refresh_before_end(void **state)
{
	struct gateway g;
	struct client *c;
	json_t *o;

	(void)state;
	gateway_start(&g);
	g.expires_in = 5;
	client_free(signed_in(g.http.url));
	g.expires_in = 300;
	c = open_client(NULL, NULL, false);
	assert_int_equal(get_only(c, "/x"), OK);
	assert_int_equal(g.refreshes, 1);
	assert_int_equal(get_only(c, "/x"), OK);
	assert_int_equal(g.refreshes, 1);
	client_free(c);
	o = stored();
	assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(o,
	    "contexts"), strstr(g.http.url, "127")), "refresh_token")), "refresh-2");
	json_decref(o);
	loopback_stop(&g.http);
}

static void test_refresh_when_rejected(void **state)
{
	struct gateway g;
	struct client *c, *other;

	(void)state;
	gateway_start(&g);
	c = signed_in(g.http.url);
	other = open_client(NULL, NULL, false);
	/* the other process refreshes; ours learns of it from the file */
	json_t *o = stored();

	json_object_set_new(json_object_get(json_object_get(o, "contexts"), strstr(g.http.url, "127")),
	    "expires_at", json_integer(0));
	char path[128];

	path_of("contexts.json", path, sizeof path);
	assert_int_equal(json_dump_file(o, path, 0), 0);
	json_decref(o);
	client_free(other);
	other = open_client(NULL, NULL, false);
	assert_int_equal(get_only(other, "/x"), OK);
	assert_int_equal(g.refreshes, 1);
	assert_int_equal(get_only(c, "/x"), OK);
	assert_int_equal(g.refreshes, 1);
	/* the gateway stops taking the token early: one refresh, one repetition */
	g.generation = 3;
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	assert_int_equal(g.reused, 1);
	client_free(c);
	client_free(other);
	loopback_stop(&g.http);
}

static void test_session_ended(void **state)
{
	struct gateway g;
	struct client *c;
	json_t *o;

	(void)state;
	gateway_start(&g);
	c = signed_in(g.http.url);
	g.revoked = true;
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	o = stored();
	assert_null(json_object_get(json_object_get(json_object_get(o, "contexts"),
	    strstr(g.http.url, "127")), "refresh_token"));
	json_decref(o);
	/* no more than one try with what is known to be dead */
	g.http.requests = 0;
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	assert_int_equal(g.http.requests, 0);
	client_free(c);
	loopback_stop(&g.http);
}

static void *one_caller(void *arg)
{
	struct client *c = open_client(NULL, NULL, false);
	enum err e = get_only(c, arg);

	client_free(c);
	return e == OK ? NULL : arg;
}

/* Each thread has a client of its own, as a process has: they meet at the file's lock alone. */
static void test_refresh_at_once(void **state)
{
	enum { N = 8 };
	struct gateway g;
	pthread_t t[N];

	(void)state;
	gateway_start(&g);
	g.expires_in = 5;
	client_free(signed_in(g.http.url));
	g.expires_in = 300;
	for (int i = 0; i < N; i++)
		assert_int_equal(pthread_create(&t[i], NULL, one_caller, "/x"), 0);
	for (int i = 0; i < N; i++) {
		void *failed;

		pthread_join(t[i], &failed);
		assert_null(failed);
	}
	loopback_stop(&g.http);
	assert_int_equal(g.refreshes, 1);
	assert_int_equal(g.reused, 0);
}

static enum err give_code(void *ctx, struct secret *out, struct fail *f)
{
	(void)f;
	return secret_set(out, ctx, strlen(ctx));
}

static void test_second_factor(void **state)
{
	struct gateway g;
	struct client *c;
	struct secret pw = { 0 };
	struct client_signin s = { .email = "a@b.c", .password = &pw };
	struct client_reply r;
	struct fail f = { 0 };

	(void)state;
	gateway_start(&g);
	g.mfa = true;
	c = open_client(g.http.url, "named", true);
	assert_int_equal(secret_set(&pw, "pw", 2), OK);
	assert_int_equal(client_signin(c, &s, &r, &f), E_MFA_REQUIRED);
	client_reply_release(&r);
	fail_clear(&f);
	s.code = give_code;
	s.ctx = "123456";
	assert_int_equal(client_signin(c, &s, &r, &f), OK);
	assert_string_equal(g.last_body, "{\"mfa_token\":\"mt\",\"code\":\"123456\"}");
	assert_string_equal(client_context(c), "named");
	client_reply_release(&r);
	fail_clear(&f);
	secret_release(&pw);
	client_free(c);
	loopback_stop(&g.http);
}

static void test_signout(void **state)
{
	struct gateway g;
	struct client *c;
	struct fail f = { 0 };
	json_t *o;

	(void)state;
	gateway_start(&g);
	c = signed_in(g.http.url);
	assert_int_equal(client_signout(c, true, &f), OK);
	assert_string_equal(g.last_path, "/v1/auth/signout");
	assert_string_equal(g.last_body, "{\"everywhere\":true}");
	client_free(c);
	o = stored();
	assert_int_equal(json_object_size(json_object_get(o, "contexts")), 0);
	assert_true(json_is_null(json_object_get(o, "current")));
	json_decref(o);
	/* ended at the gateway already: still forgotten */
	c = signed_in(g.http.url);
	g.revoked = true;
	assert_int_equal(client_signout(c, false, &f), OK);
	client_free(c);
	fail_clear(&f);
	loopback_stop(&g.http);
}

static void test_token_instead_of_session(void **state)
{
	struct gateway g;
	struct client_config conf = { .dir = dir, .token = "access-0" };
	struct client *c;
	struct fail f = { 0 };

	(void)state;
	gateway_start(&g);
	conf.servers = g.http.url;
	assert_int_equal(client_new(&conf, &c, &f), OK);
	assert_int_equal(get_only(c, "/x"), OK);
	g.generation = 1;
	assert_int_equal(get_only(c, "/x"), E_UNAUTHENTICATED);
	assert_int_equal(g.refreshes, 0);
	client_free(c);
	loopback_stop(&g.http);
}

/* Whichever allocation fails, the call fails and nothing is left behind (ASan looks). */
static void test_no_memory(void **state)
{
	struct gateway g;
	enum err e = E_NOMEM;

	(void)state;
	gateway_start(&g);
	client_free(signed_in(g.http.url));
	for (long n = 1; e != OK; n++) {
		struct client_config conf = { .dir = dir };
		struct client_reply r = { 0 };
		struct fail f = { 0 };
		struct client *c;

		assert_true(n < 200);
		heap_fail_after(n);
		e = client_new(&conf, &c, &f);
		if (e == OK)
			e = get(c, "/x", &r, &f);
		heap_fail_after(0);
		client_reply_release(&r);
		client_free(c);
		fail_clear(&f);
	}
	loopback_stop(&g.http);
}

#define T(f) cmocka_unit_test_setup_teardown(f, NULL, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_call), T(test_envelope), T(test_bad_servers), T(test_escape), T(test_failover),
		T(test_signin_stores), T(test_session_stays_home), T(test_refresh_before_end),
		T(test_refresh_when_rejected), T(test_session_ended), T(test_refresh_at_once),
		T(test_second_factor), T(test_signout), T(test_token_instead_of_session),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
