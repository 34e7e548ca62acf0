/* Providers before a server that rotates, fails, is slow or lies: one fetch at a time, no more of them
 * than allowed, and readers that always hold a whole document. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/discovery.h"
#include "authn/fetch.h"
#include "authn/provider.h"
#include "base/buf.h"
#include "crypto/jws.h"
#include "jws_vectors.h"
#include "loopback.h"

#define OTHER_KEYS "{\"keys\":[{" R8037_PUBLIC ",\"kid\":\"e\"}]}"
#define KEYS "{\"keys\":[{" A3_PUBLIC "},{" A2_PUBLIC "}]}"

/* What the server does; read by its thread. */
struct world {
	struct loopback server;
	pthread_mutex_t mu;
	pthread_cond_t cond;
	bool held;         /* answers wait */
	int status;        /* of everything; 0: 200 */
	const char *keys;  /* what /jwks says */
	const char *cache; /* header lines of it */
	const char *issuer; /* in the metadata; NULL: the right one */
	const char *jwks_uri;
	char redirect[256];
	int metadata_calls, jwks_calls, held_calls;
};

static struct world w;
static struct providers *ps;
static struct provider *p;

static void answer(void *ctx, const struct loopback_request *q, struct loopback_answer *a)
{
	(void)ctx;
	pthread_mutex_lock(&w.mu);
	w.held_calls += w.held;
	pthread_cond_broadcast(&w.cond);
	while (w.held)
		pthread_cond_wait(&w.cond, &w.mu);
	a->status = w.status != 0 ? w.status : 200;
	if (w.redirect[0] != '\0')
		snprintf(a->headers, sizeof a->headers, "Location: %s\r\n", w.redirect);
	if (strcmp(q->path, DISCOVERY_PATH) == 0) {
		w.metadata_calls++;
		snprintf(a->body, sizeof a->body, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s%s\"}",
		    w.issuer != NULL ? w.issuer : w.server.url, w.jwks_uri != NULL ? "" : w.server.url,
		    w.jwks_uri != NULL ? w.jwks_uri : "/jwks");
	} else {
		w.jwks_calls++;
		snprintf(a->body, sizeof a->body, "%s", w.keys);
		if (w.cache != NULL)
			snprintf(a->headers, sizeof a->headers, "%s", w.cache);
	}
	pthread_mutex_unlock(&w.mu);
}

static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof w);
	pthread_mutex_init(&w.mu, NULL);
	pthread_cond_init(&w.cond, NULL);
	w.keys = KEYS;
	loopback_start(&w.server, answer, NULL);
	return 0;
}

static void set_held(bool held)
{
	pthread_mutex_lock(&w.mu);
	w.held = held;
	pthread_cond_broadcast(&w.cond);
	pthread_mutex_unlock(&w.mu);
}

static int tear_down(void **state)
{
	(void)state;
	set_held(false);
	providers_free(ps);
	ps = NULL;
	loopback_stop(&w.server);
	return 0;
}

static void start(const char *jwks, int64_t apart)
{
	struct providers_config c = { .apart_us = apart, .timeout_us = 2 * CLOCK_SEC };
	struct provider_source s = { .issuer = w.server.url, .jwks = jwks };

	assert_int_equal(providers_new(&c, &ps, NULL), OK);
	assert_int_equal(providers_add(ps, &s, &p, NULL), OK);
	assert_int_equal(providers_start(ps, NULL), OK);
}

static enum err verify(const char *token)
{
	struct fail f = { 0 };
	char scratch[4096];
	struct jws j;
	enum err e;

	assert_int_equal(jws_parse(str_c(token), scratch, sizeof scratch, &j), OK);
	e = provider_verify(p, &j, &f);
	fail_clear(&f);
	return e;
}

static uint64_t version(void)
{
	struct provider_doc *d = provider_doc(p, clock_mono());
	uint64_t v = d != NULL ? d->version : 0;

	provider_doc_unref(d);
	return v;
}

static void discovery_then_keys(void **state)
{
	struct provider_doc *d;

	(void)state;
	start(NULL, 0);
	assert_int_equal(provider_need(p, &d, NULL), OK);
	assert_int_equal(jwks_count(d->keys), 3);
	assert_non_null(d->meta.jwks_uri);
	provider_doc_unref(d);
	assert_int_equal(verify(A2_TOKEN), OK);
	assert_int_equal(verify(A3_TOKEN), OK);
	assert_int_equal(w.metadata_calls, 1);
	assert_int_equal(w.jwks_calls, 1);
	assert_true(str_eqc(provider_issuer(p), w.server.url));
}

static void unknown_kids_are_worth_one_fetch_an_interval(void **state)
{
	(void)state;
	start(NULL, 3600 * CLOCK_SEC);
	assert_int_equal(verify(A2_TOKEN), OK);
	for (int i = 0; i < 100; i++)
		assert_int_equal(verify(R8037_TOKEN), E_UNAUTHENTICATED);
	assert_int_equal(w.jwks_calls, 1);
}

static void a_rotated_key_is_found(void **state)
{
	uint64_t was;

	(void)state;
	start(NULL, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	was = version();
	assert_int_equal(verify(R8037_TOKEN), E_UNAUTHENTICATED);
	assert_int_equal(version(), was); /* fetched, and the same */
	pthread_mutex_lock(&w.mu);
	w.keys = OTHER_KEYS;
	pthread_mutex_unlock(&w.mu);
	assert_int_equal(verify(R8037_TOKEN), OK);
	assert_int_equal(version(), was + 1);
	assert_int_equal(verify(A3_TOKEN), E_UNAUTHENTICATED); /* its key is gone */
}

static void *verify_thread(void *arg)
{
	*(enum err *)arg = verify(R8037_TOKEN);
	return NULL;
}

static void whoever_waits_shares_one_fetch(void **state)
{
	enum err e[16];
	pthread_t t[16];
	int before;

	(void)state;
	start(NULL, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	before = w.jwks_calls;
	pthread_mutex_lock(&w.mu);
	w.keys = OTHER_KEYS;
	w.held = true;
	pthread_mutex_unlock(&w.mu);
	for (int i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&t[i], NULL, verify_thread, &e[i]), 0);
	pthread_mutex_lock(&w.mu);
	while (w.held_calls == 0)
		pthread_cond_wait(&w.cond, &w.mu);
	pthread_mutex_unlock(&w.mu);
	set_held(false);
	for (int i = 0; i < 16; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(e[i], OK);
	}
	assert_int_equal(w.jwks_calls, before + 1);
}

struct waiter {
	struct provider_wait wait;
	atomic_int calls;
};

static void count(struct provider_wait *x)
{
	struct waiter *me = x->arg;

	atomic_fetch_add(&me->calls, 1);
}

static void whoever_waits_is_told_when_all_stops(void **state)
{
	struct waiter a = { .wait = { .done = count, .arg = &a } }, b = { .wait = { .done = count, .arg = &b } };

	(void)state;
	set_held(true);
	start(NULL, 1);
	assert_int_equal(provider_refetch(p, 0, &a.wait), PROVIDER_WAIT);
	assert_int_equal(provider_refetch(p, 0, &b.wait), PROVIDER_WAIT);
	providers_stop(ps);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_int_equal(provider_refetch(p, 0, &a.wait), PROVIDER_NOT_NOW);
	assert_int_equal(provider_need(p, &(struct provider_doc *){ NULL }, NULL), E_PROVIDER_UNAVAILABLE);
}

/* Every way in which the first fetch fails. */
static void what_is_not_as_it_should_be_gives_no_keys(void **state)
{
	static char large[8000];
	const struct {
		const char *what, *keys, *issuer, *jwks_uri, *redirect;
		int status;
	} rows[] = {
		{ "another issuer", .issuer = "https://evil.test" },
		{ "issuer with a slash more", .issuer = "http://127.0.0.1/" },
		{ "keys over http", .jwks_uri = "http://keys.test/jwks" },
		{ "keys in a file", .jwks_uri = "file:///etc/passwd" },
		{ "no keys", .keys = "{\"keys\":[]}" },
		{ "no JSON", .keys = large },
		{ "404", .status = 404 },
		{ "500", .status = 500 },
		{ "redirected", .status = 302, .redirect = "/jwks" },
		{ "cut off", .status = -1 },
	};
	struct fail f = { 0 };

	memset(large, '[', sizeof large - 1);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct provider_doc *d;

		print_message("%s\n", rows[i].what);
		w.keys = rows[i].keys != NULL ? rows[i].keys : KEYS;
		w.issuer = rows[i].issuer;
		w.jwks_uri = rows[i].jwks_uri;
		w.status = rows[i].status < 0 ? 999 : rows[i].status;
		snprintf(w.redirect, sizeof w.redirect, "%s", rows[i].redirect != NULL ? rows[i].redirect : "");
		start(NULL, 3600 * CLOCK_SEC);
		assert_int_equal(provider_need(p, &d, &f), E_PROVIDER_UNAVAILABLE);
		assert_null(d);
		fail_clear(&f);
		tear_down(state);
		set_up(state);
	}
}

static void the_last_good_keys_stay_while_the_provider_fails(void **state)
{
	(void)state;
	start(NULL, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	pthread_mutex_lock(&w.mu);
	w.status = 500;
	pthread_mutex_unlock(&w.mu);
	assert_int_equal(verify(R8037_TOKEN), E_UNAUTHENTICATED); /* an early fetch, which fails */
	assert_int_equal(verify(A2_TOKEN), OK);
	assert_null(provider_doc(p, clock_mono() + PROVIDER_FRESH_MAX + PROVIDER_STALE_MAX));
}

static void freshness_is_bounded(void **state)
{
	static const struct {
		const char *header;
		int64_t fresh;
	} rows[] = {
		{ NULL, PROVIDER_FRESH_DEFAULT },
		{ "Cache-Control: max-age=1\r\n", PROVIDER_FRESH_MIN },
		{ "Cache-Control: no-store, max-age=7200\r\n", PROVIDER_FRESH_MIN },
		{ "cache-control: public, Max-Age=7200, must-revalidate\r\n", 7200 * CLOCK_SEC },
		{ "Cache-Control: max-age=7200\r\nAge: 200\r\n", 7000 * CLOCK_SEC },
		{ "Cache-Control: max-age=7200\r\nAge: 9000\r\n", PROVIDER_FRESH_MIN },
		{ "Cache-Control: max-age=99999999\r\n", PROVIDER_FRESH_MAX },
		{ "Cache-Control: max-age=x\r\n", PROVIDER_FRESH_DEFAULT },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct provider_doc *d;

		print_message("%s", rows[i].header != NULL ? rows[i].header : "nothing\n");
		w.cache = rows[i].header;
		start(NULL, 0);
		assert_int_equal(provider_need(p, &d, NULL), OK);
		assert_int_equal(d->trusted_until - d->fetched_at, rows[i].fresh + PROVIDER_STALE_MAX);
		provider_doc_unref(d);
		tear_down(state);
		set_up(state);
	}
}

static void keys_by_address_and_by_file(void **state)
{
	char path[] = "/tmp/test_provider_XXXXXX", url[128];
	int fd = mkstemp(path);

	(void)state;
	snprintf(url, sizeof url, "%s/keys", w.server.url);
	start(url, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	assert_int_equal(w.metadata_calls, 0);
	providers_free(ps);
	assert_true(fd >= 0 && write(fd, KEYS, strlen(KEYS)) == (ssize_t)strlen(KEYS));
	start(path, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	assert_int_equal(verify(R8037_TOKEN), E_UNAUTHENTICATED);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, OTHER_KEYS, strlen(OTHER_KEYS), 0), strlen(OTHER_KEYS));
	assert_int_equal(verify(R8037_TOKEN), OK);
	close(fd);
	unlink(path);
	assert_int_equal(w.jwks_calls, 1);
}

static atomic_bool reading;

static void *read_on(void *arg)
{
	(void)arg;
	while (atomic_load(&reading)) {
		struct provider_doc *d = provider_doc(p, clock_mono());

		if (d != NULL && jwks_count(d->keys) == 0)
			abort();
		provider_doc_unref(d);
	}
	return NULL;
}

static void readers_go_on_while_documents_change(void **state)
{
	pthread_t t[4];

	(void)state;
	start(NULL, 1);
	assert_int_equal(verify(A2_TOKEN), OK);
	atomic_store(&reading, true);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_on, NULL), 0);
	for (int i = 0; i < 200; i++)
		(void)verify(R8037_TOKEN);
	atomic_store(&reading, false);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_true(w.jwks_calls >= 200);
}

static void addresses(void **state)
{
	static const struct {
		const char *url;
		bool ok;
	} rows[] = {
		{ "https://accounts.google.com", true }, { "https://a.test:444/x?y=z", true },
		{ "http://127.0.0.1:3000", true }, { "http://localhost/x", true }, { "http://[::1]:1/", true },
		{ "http://a.test", false }, { "http://127.0.0.1.evil.test", false },
		{ "http://localhost.evil.test", false }, { "http://u@127.0.0.1", false },
		{ "https://u:p@a.test", false }, { "https://a.test#f", false }, { "ftp://a.test", false },
		{ "file:///etc/passwd", false }, { "a.test", false }, { "", false }, { "https://", false },
		{ "https:/a.test", false }, { "https:///a.test", false },
		{ "HTTPS://a.test", false }, { "https://a.test/ x", false }, { "https://a.test/\n", false }, { "javascript:alert(1)", false },
		{ "https://\xc3\xa4.test", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		print_message("%s\n", rows[i].url);
		assert_int_equal(fetch_url_allowed(rows[i].url), rows[i].ok);
	}
	assert_int_equal(providers_new(&(struct providers_config){ 0 }, &ps, NULL), OK);
	assert_int_equal(providers_add(ps, &(struct provider_source){ .issuer = "http://a.test" }, &p, NULL),
	    E_CONFIG);
	assert_int_equal(providers_add(ps, &(struct provider_source){ .issuer = "any", .jwks = "/no/such" }, &p,
	    NULL), OK);
}

static void metadata(void **state)
{
#define ISS "\"issuer\":\"https://a.test\",\"jwks_uri\":\"https://a.test/j\""
	static const struct {
		const char *text;
		bool ok, code, basic, post, iss;
	} rows[] = {
		{ "{" ISS "}", true, .basic = true },
		{ "{" ISS ",\"response_types_supported\":[\"code\"]}", true, .code = true, .basic = true },
		{ "{" ISS ",\"response_types_supported\":[\"id_token\"]}", true, .basic = true },
		{ "{" ISS ",\"response_types_supported\":[\"code\"],\"code_challenge_methods_supported\":[\"plain\"]}",
		  true, .basic = true },
		{ "{" ISS ",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"],"
		  "\"authorization_response_iss_parameter_supported\":true}", true, .post = true, .iss = true },
		{ "{\"jwks_uri\":\"https://a.test/j\"}", false },
		{ "{\"issuer\":\"https://a.test\"}", false },
		{ "{\"issuer\":\"https://a.test\\u0000\",\"jwks_uri\":\"https://a.test/j\"}", false },
		{ "{" ISS ",\"issuer\":\"https://a.test\"}", false },
		{ "{" ISS ",\"token_endpoint\":\"http://a.test/t\"}", false },
		{ "{" ISS ",\"authorization_endpoint\":7}", false },
		{ "[]", false }, { "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct discovery d;
		enum err e = discovery_parse(str_c(rows[i].text), STR("https://a.test"), &d, NULL);

		print_message("%s\n", rows[i].text);
		assert_int_equal(e, rows[i].ok ? OK : E_INVALID_FIELD);
		if (e != OK)
			continue;
		assert_int_equal(d.code_flow, rows[i].code);
		assert_int_equal(d.auth_basic, rows[i].basic);
		assert_int_equal(d.auth_post, rows[i].post);
		assert_int_equal(d.iss_in_response, rows[i].iss);
		discovery_release(&d);
	}
}

static void answers_are_counted(void **state)
{
	struct provider_doc *d;
	struct buf out;

	(void)state;
	start(NULL, 0);
	assert_int_equal(provider_need(p, &d, NULL), OK);
	provider_doc_unref(d);
	buf_init(&out, 4096);
	providers_write_metrics(ps, &out);
	assert_non_null(strstr(buf_cstr(&out), "gateway_issuer_fetches_total{outcome=\"ok\"} 1\n"));
	buf_release(&out);
}

#define WITH_SERVER(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(discovery_then_keys),
		WITH_SERVER(unknown_kids_are_worth_one_fetch_an_interval),
		WITH_SERVER(a_rotated_key_is_found),
		WITH_SERVER(whoever_waits_shares_one_fetch),
		WITH_SERVER(whoever_waits_is_told_when_all_stops),
		WITH_SERVER(what_is_not_as_it_should_be_gives_no_keys),
		WITH_SERVER(the_last_good_keys_stay_while_the_provider_fails),
		WITH_SERVER(freshness_is_bounded),
		WITH_SERVER(keys_by_address_and_by_file),
		WITH_SERVER(readers_go_on_while_documents_change),
		WITH_SERVER(addresses),
		cmocka_unit_test(metadata),
		WITH_SERVER(answers_are_counted),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* a fetch that is given up leaves the server writing */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
