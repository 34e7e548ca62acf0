#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "authn/authn.h"
#include "authn/token_cache.h"
#include "authz/principal_cache.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/hex.h"
#include "base/rnd.h"
#include "crypto/api_key.h"
#include "crypto/hasher.h"
#include "crypto/jwt.h"
#include "crypto/keyring.h"
#include "crypto/token.h"
#include "iam/credential.h"
#include "iam/principal.h"
#include "lane_fixture.h"
#include "obs/obs.h"
#include "request/request.h"
#include "store/change.h"
#include "store_fixture.h"

#define HOUR (3600 * CLOCK_SEC)

struct world {
	struct fixture x;
	struct lane lane;
	struct obs_route *routes; /* all alike: nothing here looks at them */
	struct obs *obs;
	struct obs_worker *worker;
	struct hasher *hasher;
	struct principal_cache *principals;
	struct authn *authn;
	_Atomic bool basic_without_tls;
	struct keyring *keys; /* the test's own reference */
	struct id ada, sid, robot, key_id;
	char api_key[API_KEY_LEN], secret[TOKEN_LEN];
	int64_t now; /* the loop's wall time; it stands still but in tick */
};

static const char password[] = "correct horse battery staple";

/* ---- the store ------------------------------------------------------------------------------- */

static struct str id_str(const struct id *id)
{
	return str_n((const char *)id->b, 16);
}

static int64_t change(struct world *w, enum change_kind kind, struct id id)
{
	struct store_val v[3];

	fixture_exec(w->x.store, change_stmt(kind, id_str(&id), 1, v));
	return fixture_int(w->x.store, change_seq_stmt);
}

#define EXEC(w, ...) fixture_exec((w)->x.store, (struct store_stmt)STMT(__VA_ARGS__))

static void add_user(struct world *w)
{
	char phc[PASSWORD_PHC_LEN];

	assert_int_equal(hasher_hash(w->hasher, str_c(password), phc), OK);
	EXEC(w, "INSERT INTO user (id, email, email_fold, password_phc, created_at, updated_at) "
	        "VALUES (?, 'Ada@example.com', 'ada@example.com', ?, 1, 1)", SV_ID(&w->ada), SV_Z(phc));
	EXEC(w, "INSERT INTO session (id, principal, token_hash, amr, auth_time, last_used_at, "
	        "idle_expires_at, expires_at, created_at) VALUES (?, ?, x'00', 'pwd', 1, 1, ?, ?, 1)",
	    SV_ID(&w->sid), SV_ID(&w->ada), SV_INT(w->now + HOUR), SV_INT(w->now + HOUR));
}

static void add_credential(struct world *w, struct id id, const char *kind,
    const unsigned char *hash, const char *subject)
{
	EXEC(w, "INSERT INTO credential (id, service_account, kind, secret_hash, subject, created_at) "
	        "VALUES (?, ?, ?, ?, ?, 1)", SV_ID(&id), SV_ID(&w->robot), SV_Z(kind),
	    hash != NULL ? SV_BLOB(str_n((const char *)hash, 32)) : SV_NULL,
	    subject != NULL ? SV_Z(subject) : SV_NULL);
}

static void add_robot(struct world *w)
{
	unsigned char random[TOKEN_RANDOM], hash[TOKEN_HASH];

	EXEC(w, "INSERT INTO service_account (id, name, created_at, updated_at) VALUES "
	        "(?, 'robot', 1, 1)", SV_ID(&w->robot));
	rnd_bytes(random, sizeof random);
	api_key_make(w->key_id, random, w->api_key, hash);
	add_credential(w, w->key_id, "api_key", hash, NULL);
	token_make(CREDENTIAL_PURPOSE, random, w->secret, hash);
	add_credential(w, id_new(w->now), "secret", hash, NULL);
	add_credential(w, id_new(w->now), "certificate", NULL, "CN=robot,O=Example");
}

/* ---- keys and tokens ------------------------------------------------------------------------- */

static struct keyring *new_keys(int64_t not_after)
{
	struct keyring_entry e = { .state = KEY_ACTIVE, .not_after = not_after };
	struct keyring *k;

	assert_int_equal(jws_key_generate(&e.key, NULL), OK);
	jws_key_thumbprint(e.key, e.kid);
	assert_int_equal(keyring_new_take(&e, 1, &k), OK);
	return k;
}

static void set_keys(struct world *w, struct keyring *k)
{
	keyring_unref(w->keys);
	w->keys = k;
	authn_set_keys_take(w->authn, keyring_ref(k));
}

static struct jwt_access claims_of(struct world *w)
{
	return (struct jwt_access){ .sub = w->ada, .sid = w->sid, .jti = id_new(w->now),
		.iat = w->now / CLOCK_SEC - 1, .exp = w->now / CLOCK_SEC + 300,
		.auth_time = w->now / CLOCK_SEC - 60, .amr = JWT_AMR_PWD | JWT_AMR_OTP,
		.iss = STR("https://gw.example"), .aud = { STR("gateway") } };
}

/* "Bearer <token>" in z. */
static const char *bearer(struct world *w, const struct jwt_access *c, char z[4096])
{
	struct buf b;

	buf_init(&b, 4096);
	buf_addz(&b, "Bearer ");
	assert_int_equal(jwt_access_issue(w->keys, c, &b), OK);
	snprintf(z, 4096, "%s", buf_cstr(&b));
	buf_release(&b);
	return z;
}

/* ---- the world ------------------------------------------------------------------------------- */

static int setup(void **state)
{
	static const char *names[AUTH__COUNT];
	struct world *w = heap_zalloc(sizeof *w);
	struct password_params cheap = { .memory_kib = 64, .iterations = 1, .parallelism = 1 };

	for (int m = 0; m < AUTH__COUNT; m++)
		names[m] = auth_method_name((enum auth_method)m);
	fixture_sqlite_migrated(&w->x);
	lane_init(&w->lane, 1024);
	w->now = loop_wall(w->lane.loop);
	w->routes = heap_zalloc((ops_count + 1) * sizeof *w->routes);
	for (size_t i = 0; i <= ops_count; i++)
		w->routes[i] = (struct obs_route){ "any", "other" };
	assert_int_equal(obs_new(&w->obs, w->routes, ops_count, names, AUTH__COUNT), OK);
	assert_int_equal(obs_worker_new(w->obs, w->lane.loop, false, &w->worker), OK);
	assert_int_equal(hasher_new(&cheap, 1, 16, &w->hasher), OK);
	assert_int_equal(principal_cache_new(w->lane.loop, w->lane.pool, w->x.store, 100,
	    &w->principals), OK);
	assert_int_equal(authn_new(&(struct authn_config){ .issuer = STR("https://gw.example"),
	    .audience = STR("gateway"), .basic_without_tls = &w->basic_without_tls, .max_tokens = 8, .loop = w->lane.loop, .obs = w->worker,
	    .principals = w->principals, .lane = w->lane.pool, .store = w->x.store,
	    .hasher = w->hasher }, &w->authn), OK);
	w->ada = id_new(w->now);
	w->sid = id_new(w->now);
	w->robot = id_new(w->now);
	w->key_id = id_new(w->now);
	add_user(w);
	add_robot(w);
	set_keys(w, new_keys(0));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lane_stop(&w->lane);
	authn_free(w->authn);
	principal_cache_free(w->principals);
	hasher_free(w->hasher);
	obs_worker_free(w->worker);
	obs_free(w->obs);
	heap_free(w->routes);
	lane_release(&w->lane);
	keyring_unref(w->keys);
	fixture_release(&w->x);
	heap_free(w);
	return 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

struct call {
	struct request r; /* first */
	unsigned calls;
	enum err e;
};

static void call_cb(struct request *r, enum err e)
{
	struct call *c = (struct call *)r;

	c->calls++;
	c->e = e;
}

static void call_init(struct world *w, struct call *c)
{
	*c = (struct call){ .calls = 0 };
	request_init(&c->r);
	c->r.loop = w->lane.loop;
	c->r.obs = w->worker;
	c->r.correlation_id = STR("x");
}

static enum err call_start(struct world *w, struct call *c, const char *authorization)
{
	if (authorization != NULL)
		assert_int_equal(request_add_header(&c->r, STR("Authorization"), str_c(authorization)), OK);
	c->e = authn_request(w->authn, &c->r, call_cb);
	return c->e;
}

static void call_end(struct call *c)
{
	request_finish(&c->r);
	request_release(&c->r);
}

/* The outcome, now or later, and whether it came at once. */
static enum err ask(struct world *w, const char *authorization, bool *at_once)
{
	struct call c;
	bool now;
	enum err e;

	call_init(w, &c);
	now = call_start(w, &c, authorization) != E_NOT_READY;
	lane_settle(&w->lane);
	assert_int_equal(c.calls, now ? 0 : 1);
	if (at_once != NULL)
		*at_once = now;
	e = c.e;
	assert_true(e == OK || c.r.auth.principal == NULL);
	call_end(&c);
	return e;
}

/* How often the failure has been counted. */
static long failures(struct world *w, const char *method, const char *reason)
{
	char name[128];
	const char *at;
	struct buf b;
	long n = 0;

	buf_init(&b, 1 << 20);
	obs_write(w->obs, &b);
	snprintf(name, sizeof name, "gateway_auth_failures_total{method=\"%s\",reason=\"%s\"} ", method,
	    reason);
	at = strstr(buf_cstr(&b), name);
	if (at != NULL)
		n = strtol(at + strlen(name), NULL, 10);
	buf_release(&b);
	return n;
}

/* Until the loop's clock has passed `wall`. */
static void tick_past(struct world *w, int64_t wall)
{
	while (loop_wall(w->lane.loop) <= wall)
		lane_tick(&w->lane);
}

/* ---- access tokens --------------------------------------------------------------------------- */

static void test_access_token(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char t[4096];
	struct call c;

	call_init(w, &c);
	assert_int_equal(call_start(w, &c, bearer(w, &claims, t)), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(c.e, OK);
	assert_int_equal(c.r.auth.method, AUTH_ACCESS_TOKEN);
	assert_true(id_eq(c.r.auth.principal->id, w->ada));
	assert_true(c.r.auth.has_session);
	assert_true(id_eq(c.r.auth.session, w->sid));
	assert_int_equal(c.r.auth.expires_at, claims.exp * CLOCK_SEC);
	assert_int_equal(c.r.auth.auth_time, claims.auth_time * CLOCK_SEC);
	assert_true(str_eqc(c.r.auth.amr, "pwd otp"));
	assert_null(c.r.auth.scopes.p);
	call_end(&c);
	/* now the worker knows it: no job, no signature */
	call_init(w, &c);
	assert_int_equal(call_start(w, &c, t), OK);
	assert_true(str_eqc(c.r.auth.principal->name, "Ada@example.com"));
	call_end(&c);
	/* the scheme is case-insensitive */
	memcpy(t, "bEARER", 6);
	assert_int_equal(ask(w, t, NULL), OK);
}

static void test_nobody(void **state)
{
	struct world *w = *state;
	struct call c;

	call_init(w, &c);
	assert_int_equal(call_start(w, &c, NULL), OK);
	assert_null(c.r.auth.principal);
	assert_int_equal(c.r.auth.method, AUTH_NONE);
	call_end(&c);
	assert_int_equal(failures(w, "none", "missing"), 1);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = { "", "Bearer", "Bearer ", "Basic", "Digest abc", "Bearer a.b",
		"Bearer a.b.c.d", "Bearer ....", "gwk_x", "Bearer gwk_", "Basic !!!!", "Basic Zm9v",
		"Bearer eyJhbGciOiJub25lIn0.e30.", "Negotiate" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (ask(w, bad[i], NULL) != E_UNAUTHENTICATED)
			fail_msg("\"%s\" was not refused", bad[i]);
}

static void test_two_headers(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char t[4096];
	struct call c;

	call_init(w, &c);
	request_add_header(&c.r, STR("authorization"), str_c(bearer(w, &claims, t)));
	assert_int_equal(call_start(w, &c, t), E_UNAUTHENTICATED);
	assert_null(c.r.auth.principal);
	call_end(&c);
}

/* One claim or the other wrong; always the same answer, each counted as what it is. */
static void test_claims(void **state)
{
	struct world *w = *state;
	struct jwt_access c;
	char t[4096];

	c = claims_of(w), c.exp = w->now / CLOCK_SEC;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "expired"), 1);
	c = claims_of(w), c.iss = STR("https://other.example");
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.aud[0] = STR("other");
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.iat = w->now / CLOCK_SEC + 60;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 3);
	c = claims_of(w), c.sub = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 4);
}

/* A session that is another's, ended, unknown, or none at all. */
static void test_sessions(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	c.sub = w->robot;
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	c = claims_of(w), c.sid = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "revoked"), 2);
	c = claims_of(w), memset(&c.sid, 0, sizeof c.sid);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "refused"), 1);
	c.sub = w->robot; /* service accounts have none */
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
}

static void test_ended_session_refuses_at_once(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	bool at_once;

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	EXEC(w, "UPDATE session SET ended_at = 5 WHERE id = ?", SV_ID(&w->sid));
	principal_cache_drop_session(w->principals, w->sid, change(w, CHANGE_SESSION, w->sid));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	/* and stays so, from the cache */
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	assert_true(at_once);
}

static void test_disabled_principal(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	EXEC(w, "UPDATE user SET disabled = 1 WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "disabled"), 1);
	EXEC(w, "UPDATE user SET disabled = 0 WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), OK);
	EXEC(w, "DELETE FROM user WHERE id = ?", SV_ID(&w->ada));
	principal_cache_drop(w->principals, w->ada, change(w, CHANGE_PRINCIPAL, w->ada));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

/* A change of somebody else moves the epoch: looked up again, from the principal cache, without a job. */
static void test_other_changes_cost_a_lookup(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	bool at_once;

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	principal_cache_drop(w->principals, w->robot, change(w, CHANGE_PRINCIPAL, w->robot));
	assert_int_equal(ask(w, t, &at_once), OK);
	assert_true(at_once);
}

static void test_expiry_between_uses(void **state)
{
	struct world *w = *state;
	struct jwt_access c;
	char t[4096];
	bool at_once;

	tick_past(w, loop_wall(w->lane.loop));
	w->now = loop_wall(w->lane.loop);
	set_keys(w, new_keys(w->now + 30 * CLOCK_MS));
	c = claims_of(w);
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	tick_past(w, w->now + 30 * CLOCK_MS);
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	assert_true(at_once);
	assert_int_equal(failures(w, "access_token", "expired"), 1);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

static void test_session_limit_between_uses(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	int64_t limit = clock_wall() + 200 * CLOCK_MS;
	char t[4096];

	EXEC(w, "UPDATE session SET expires_at = ? WHERE id = ?", SV_INT(limit), SV_ID(&w->sid));
	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	tick_past(w, limit);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "revoked"), 1);
}

static void test_keys_that_go(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096], next[4096];

	assert_int_equal(ask(w, bearer(w, &c, t), NULL), OK);
	set_keys(w, new_keys(0));
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "access_token", "unknown"), 1);
	assert_int_equal(ask(w, bearer(w, &c, next), NULL), OK);
}

/* Puts another character into the signature, at most 40 before its end. */
static void spoil(char *t, unsigned i)
{
	char *c = t + strlen(t) - 2 - i % 40;

	*c = *c == 'A' ? 'B' : 'A';
}

static void test_bad_signature(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096], good[4096];
	bool at_once;

	bearer(w, &c, good);
	memcpy(t, good, sizeof t);
	spoil(t, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
		assert_true(at_once);
	}
	assert_int_equal(failures(w, "access_token", "signature"), 3);
	assert_int_equal(ask(w, good, NULL), OK);
	assert_int_equal(ask(w, t, NULL), E_UNAUTHENTICATED);
}

/* Past so many bad signatures within a second, unknown tokens are verified on the lane; known ones are as fast
 * as ever, good new ones still get in. */
static void test_flood(void **state)
{
	struct world *w = *state;
	struct jwt_access claims = claims_of(w);
	char known[4096], good[4096], t[4096];
	bool at_once = true;
	unsigned n;

	assert_int_equal(ask(w, bearer(w, &claims, known), NULL), OK);
	for (n = 0; n < 1000 && at_once; n++) {
		claims.jti = id_new(w->now);
		bearer(w, &claims, t);
		spoil(t, n);
		assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED);
	}
	assert_true(n >= 200 && n < 1000);
	assert_int_equal(ask(w, known, &at_once), OK);
	assert_true(at_once);
	assert_int_equal(ask(w, t, &at_once), E_UNAUTHENTICATED); /* remembered as bad */
	assert_true(at_once);
	claims.jti = id_new(w->now);
	assert_int_equal(ask(w, bearer(w, &claims, good), &at_once), OK);
	assert_false(at_once);
	assert_int_equal(ask(w, good, &at_once), OK);
	assert_true(at_once);
	assert_int_equal(failures(w, "access_token", "signature"), n + 1);
}

static void test_store_away(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];
	enum err e;

	EXEC(w, "ALTER TABLE session RENAME TO session_away");
	e = ask(w, bearer(w, &c, t), NULL);
	assert_true(e != OK && e != E_UNAUTHENTICATED);
	EXEC(w, "ALTER TABLE session_away RENAME TO session");
	assert_int_equal(ask(w, t, NULL), OK);
}

static void test_no_keys_yet(void **state)
{
	struct world *w = *state;
	struct jwt_access c = claims_of(w);
	char t[4096];

	bearer(w, &c, t);
	authn_set_keys_take(w->authn, NULL);
	assert_int_equal(ask(w, t, NULL), E_STATE_STALE);
}

/* ---- API keys -------------------------------------------------------------------------------- */

static const char *key_header(struct world *w, char z[128])
{
	snprintf(z, 128, "Bearer %s", w->api_key);
	return z;
}

static void test_api_key(void **state)
{
	struct world *w = *state;
	char z[128];
	struct call c;

	call_init(w, &c);
	assert_int_equal(call_start(w, &c, key_header(w, z)), E_NOT_READY);
	lane_settle(&w->lane);
	assert_int_equal(c.e, OK);
	assert_int_equal(c.r.auth.method, AUTH_API_KEY);
	assert_int_equal(c.r.auth.principal->kind, PRINCIPAL_SERVICE_ACCOUNT);
	assert_true(id_eq(c.r.auth.principal->id, w->robot));
	assert_false(c.r.auth.has_session);
	call_end(&c);
	call_init(w, &c);
	assert_int_equal(call_start(w, &c, z), OK);
	call_end(&c);
	assert_true(fixture_int(w->x.store, (struct store_stmt)STMT(
	    "SELECT last_used_at FROM credential WHERE id = ?", SV_ID(&w->key_id))) >= w->now);
}

static void test_api_key_refused(void **state)
{
	struct world *w = *state;
	char z[128];

	key_header(w, z);
	z[strlen(z) - 5] = z[strlen(z) - 5] == 'A' ? 'B' : 'A';
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
	key_header(w, z);
	z[15] = z[15] == '0' ? '1' : '0'; /* another credential's id */
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "api_key", "unknown"), 2);
	EXEC(w, "UPDATE service_account SET disabled = 1 WHERE id = ?", SV_ID(&w->robot));
	assert_int_equal(ask(w, key_header(w, z), NULL), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "api_key", "disabled"), 1);
}

static void test_api_key_expires(void **state)
{
	struct world *w = *state;
	int64_t expiry;
	char z[128];

	tick_past(w, w->now);
	expiry = loop_wall(w->lane.loop) + 200 * CLOCK_MS;
	EXEC(w, "UPDATE credential SET expires_at = ? WHERE id = ?", SV_INT(expiry), SV_ID(&w->key_id));
	assert_int_equal(ask(w, key_header(w, z), NULL), OK);
	tick_past(w, expiry);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

static void test_api_key_deleted(void **state)
{
	struct world *w = *state;
	char z[128];

	assert_int_equal(ask(w, key_header(w, z), NULL), OK);
	EXEC(w, "DELETE FROM credential WHERE id = ?", SV_ID(&w->key_id));
	authn_flush(w->authn);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

/* Deleted while the check was under way: what was read before may let this one request in, but nothing of it
 * stays. */
static void test_api_key_deleted_meanwhile(void **state)
{
	struct world *w = *state;
	char z[128];
	struct call c;

	call_init(w, &c);
	assert_int_equal(call_start(w, &c, key_header(w, z)), E_NOT_READY);
	lane_rest(&w->lane);
	EXEC(w, "DELETE FROM credential WHERE id = ?", SV_ID(&w->key_id));
	authn_flush(w->authn);
	lane_settle(&w->lane);
	assert_int_equal(c.calls, 1);
	call_end(&c);
	assert_int_equal(ask(w, z, NULL), E_UNAUTHENTICATED);
}

/* ---- Basic ----------------------------------------------------------------------------------- */

static enum err ask_basic(struct world *w, bool tls, const char *user, const char *secret)
{
	char plain[512], z[1024] = "Basic ";
	struct call c;
	enum err e;
	int n = snprintf(plain, sizeof plain, "%s%s%s", user, secret != NULL ? ":" : "",
	    secret != NULL ? secret : "");

	z[6 + b64_encode(plain, (size_t)n, z + 6)] = '\0';
	call_init(w, &c);
	c.r.tls = tls;
	(void)call_start(w, &c, z);
	lane_settle(&w->lane);
	e = c.e;
	assert_true((e == OK) == (c.r.auth.principal != NULL));
	call_end(&c);
	return e;
}

static void test_basic_service_account(void **state)
{
	struct world *w = *state;
	char id[ID_TEXT_LEN], wrong[TOKEN_LEN];

	id_text(w->robot, id);
	assert_int_equal(ask_basic(w, true, id, w->secret), OK);
	assert_int_equal(ask_basic(w, true, id, w->secret), OK);
	memcpy(wrong, w->secret, sizeof wrong);
	wrong[3] = wrong[3] == 'A' ? 'B' : 'A';
	assert_int_equal(ask_basic(w, true, id, wrong), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id, ""), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id, NULL), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, id_text(w->ada, id), w->secret), E_UNAUTHENTICATED);
}

static void test_basic_user(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask_basic(w, true, "ada@example.com", password), OK);
	assert_int_equal(ask_basic(w, true, "ADA@Example.com", password), OK);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "wrong"), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "bob@example.com", password), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "not an address", password), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "\xff\xfe"), E_UNAUTHENTICATED);
	EXEC(w, "UPDATE user SET disabled = 1 WHERE id = ?", SV_ID(&w->ada));
	assert_int_equal(ask_basic(w, true, "ada@example.com", password), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "basic", "disabled"), 1);
}

static void test_basic_without_password(void **state)
{
	struct world *w = *state;

	EXEC(w, "UPDATE user SET password_phc = NULL WHERE id = ?", SV_ID(&w->ada));
	assert_int_equal(ask_basic(w, true, "ada@example.com", password), E_UNAUTHENTICATED);
	assert_int_equal(ask_basic(w, true, "ada@example.com", "-"), E_UNAUTHENTICATED);
}

static void test_basic_over_plaintext(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask_basic(w, false, "ada@example.com", password), E_UNAUTHENTICATED);
	assert_int_equal(failures(w, "basic", "refused"), 1);
	atomic_store(&w->basic_without_tls, true);
	assert_int_equal(ask_basic(w, false, "ada@example.com", password), OK);
}

static void test_too_many_sign_ins(void **state)
{
	struct world *w = *state;
	struct call *calls = heap_zalloc(1000 * sizeof *calls);
	unsigned started = 0, i;
	enum err e = E_NOT_READY;

	atomic_store(&w->basic_without_tls, true);
	lane_close(&w->lane);
	for (i = 0; i < 1000 && e == E_NOT_READY; i++) {
		call_init(w, &calls[i]);
		e = call_start(w, &calls[i], "Basic YWRhQGV4YW1wbGUuY29tOndyb25n");
		started += e == E_NOT_READY;
	}
	assert_int_equal(e, E_OVERLOADED);
	lane_open(&w->lane);
	lane_settle(&w->lane);
	while (i-- > 0) {
		assert_int_equal(calls[i].calls, i < started ? 1 : 0);
		call_end(&calls[i]);
	}
	heap_free(calls);
}

/* ---- certificates ---------------------------------------------------------------------------- */

/* As it would come over the wire: extensions of one that is being made can't be read. */
static gnutls_x509_crt_t reread(gnutls_x509_crt_t crt)
{
	gnutls_datum_t der;

	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	gnutls_x509_crt_deinit(crt);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER), 0);
	gnutls_free(der.data);
	return crt;
}

static gnutls_x509_crt_t certificate(const char *dn, const char *dns, const char *uri)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	unsigned char serial = 1;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	if (dn != NULL)
		assert_int_equal(gnutls_x509_crt_set_dn(crt, dn, NULL), 0);
	if (dns != NULL)
		assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, dns,
		    (unsigned)strlen(dns), GNUTLS_FSAN_SET), 0);
	if (uri != NULL)
		assert_int_equal(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI, uri,
		    (unsigned)strlen(uri), GNUTLS_FSAN_SET), 0);
	gnutls_x509_crt_set_serial(crt, &serial, 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	gnutls_x509_privkey_deinit(key);
	return reread(crt);
}

static enum err ask_certificate(struct world *w, const char *dn, const char *dns, const char *uri,
    const char *authorization)
{
	gnutls_x509_crt_t crt = certificate(dn, dns, uri);
	struct call c;
	enum err e;

	call_init(w, &c);
	c.r.tls = true;
	c.r.client_cert = crt;
	(void)call_start(w, &c, authorization);
	lane_settle(&w->lane);
	e = c.e;
	if (e == OK)
		assert_true(id_eq(c.r.auth.principal->id, w->robot));
	call_end(&c);
	gnutls_x509_crt_deinit(crt);
	return e;
}

static void test_certificate(void **state)
{
	struct world *w = *state;
	struct id id = id_new(w->now);

	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", NULL, NULL, NULL), OK);
	assert_int_equal(ask_certificate(w, "CN=other,O=Example", NULL, NULL, NULL), E_UNAUTHENTICATED);
	assert_int_equal(ask_certificate(w, NULL, NULL, NULL, NULL), E_UNAUTHENTICATED);
	/* a name that looks like a subject is not one */
	assert_int_equal(ask_certificate(w, "CN=x", "CN=robot,O=Example", NULL, NULL),
	    E_UNAUTHENTICATED);
	assert_int_equal(ask_certificate(w, "CN=x", NULL, "CN=robot,O=Example", NULL),
	    E_UNAUTHENTICATED);
	add_credential(w, id, "certificate", NULL, "robot.example");
	assert_int_equal(ask_certificate(w, "CN=x", "robot.example", NULL, NULL), OK);
	id = id_new(w->now);
	add_credential(w, id, "certificate", NULL, "spiffe://example/robot");
	assert_int_equal(ask_certificate(w, "CN=x", NULL, "spiffe://example/robot", NULL), OK);
	/* an Authorization decides before it */
	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", NULL, NULL, "Bearer a.b.c"),
	    E_UNAUTHENTICATED);
}

static void test_certificate_of_two_accounts(void **state)
{
	struct world *w = *state;
	struct id other = id_new(w->now), id = id_new(w->now);

	EXEC(w, "INSERT INTO service_account (id, name, created_at, updated_at) VALUES "
	        "(?, 'other', 1, 1)", SV_ID(&other));
	EXEC(w, "INSERT INTO credential (id, service_account, kind, subject, created_at) VALUES "
	        "(?, ?, 'certificate', 'other.example', 1)", SV_ID(&id), SV_ID(&other));
	assert_int_equal(ask_certificate(w, "CN=robot,O=Example", "other.example", NULL, NULL),
	    E_UNAUTHENTICATED);
}

/* ---- the cache of tokens --------------------------------------------------------------------- */

static void test_token_cache(void **state)
{
	struct identity who = { .expires_at = 5 };
	struct token_cache c;
	char text[24];

	(void)state;
	assert_int_equal(token_cache_init(&c, 4), OK);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof text, "token-%d", i);
		assert_non_null(token_cache_add(&c, str_c(text), STR("kid"), &who, i));
		assert_non_null(token_cache_find(&c, STR("token-0"))); /* used, so it stays */
	}
	assert_int_equal(c.map.n, 4);
	assert_non_null(token_cache_find(&c, STR("token-9")));
	assert_null(token_cache_find(&c, STR("token-5")));
	assert_null(token_cache_find(&c, STR("token-")));
	token_cache_add_bad(&c, STR("bad"));
	assert_true(token_cache_is_bad(&c, STR("bad")));
	assert_false(token_cache_is_bad(&c, STR("good")));
	token_cache_keep_keys(&c, NULL);
	assert_int_equal(c.map.n, 0);
	assert_false(token_cache_is_bad(&c, STR("bad")));
	token_cache_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_access_token), T(test_nobody), T(test_malformed), T(test_two_headers),
		T(test_claims), T(test_sessions), T(test_ended_session_refuses_at_once),
		T(test_disabled_principal), T(test_other_changes_cost_a_lookup),
		T(test_expiry_between_uses), T(test_session_limit_between_uses), T(test_keys_that_go),
		T(test_bad_signature), T(test_flood), T(test_store_away), T(test_no_keys_yet),
		T(test_api_key), T(test_api_key_refused), T(test_api_key_expires),
		T(test_api_key_deleted), T(test_api_key_deleted_meanwhile),
		T(test_basic_service_account), T(test_basic_user), T(test_basic_without_password),
		T(test_basic_over_plaintext), T(test_too_many_sign_ins), T(test_certificate),
		T(test_certificate_of_two_accounts), cmocka_unit_test(test_token_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
