#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "authn_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/rnd.h"
#include "iam/credential.h"
#include "iam/principal.h"
#include "keyring_fixture.h"

#define HOUR (3600 * CLOCK_SEC)

/* ---- the store ------------------------------------------------------------------------------- */

static struct str id_str(const struct id *id)
{
	return str_n((const char *)id->b, 16);
}

int64_t change(struct world *w, enum change_kind kind, struct id id)
{
	struct store_val v[3];

	fixture_exec(w->x.store, change_stmt(kind, id_str(&id), 1, v));
	return fixture_int(w->x.store, change_seq_stmt);
}

static void add_user(struct world *w)
{
	char phc[PASSWORD_PHC_LEN];

	assert_int_equal(hasher_hash(w->hasher, STR(PASSWORD), phc), OK);
	EXEC(w, "INSERT INTO user (id, email, email_fold, password_phc, created_at, updated_at) "
	        "VALUES (?, 'Ada@example.com', 'ada@example.com', ?, 1, 1)", SV_ID(&w->ada), SV_Z(phc));
	EXEC(w, "INSERT INTO session (id, principal, token_hash, amr, auth_time, last_used_at, "
	        "idle_expires_at, expires_at, created_at) VALUES (?, ?, x'00', 'pwd', 1, 1, ?, ?, 1)",
	    SV_ID(&w->sid), SV_ID(&w->ada), SV_INT(w->now + HOUR), SV_INT(w->now + HOUR));
}

void add_credential(struct world *w, struct id id, const char *kind,
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

struct keyring *new_keys(int64_t not_after)
{
	struct keyring_entry e = keyring_entry_new(KEY_ACTIVE, not_after);
	struct keyring *k;

	assert_int_equal(keyring_new_take(&e, 1, &k), OK);
	return k;
}

void set_keys(struct world *w, struct keyring *k)
{
	keyring_unref(w->keys);
	w->keys = k;
	authn_set_keys_take(w->authn, keyring_ref(k));
}

struct jwt_access claims_of(struct world *w)
{
	return (struct jwt_access){ .sub = w->ada, .sid = w->sid, .jti = id_new(w->now),
		.iat = w->now / CLOCK_SEC - 1, .exp = w->now / CLOCK_SEC + 300,
		.auth_time = w->now / CLOCK_SEC - 60, .amr = JWT_AMR_PWD | JWT_AMR_OTP,
		.iss = STR("https://gw.example"), .aud = { STR("gateway") } };
}

const char *bearer(struct world *w, const struct jwt_access *c, char z[4096])
{
	struct buf b;

	buf_init(&b, 4096);
	buf_addz(&b, "Bearer ");
	assert_int_equal(jwt_access_issue(w->keys, c, &b), OK);
	snprintf(z, 4096, "%s", buf_cstr(&b));
	buf_release(&b);
	return z;
}

static void keys_come(struct loop_msg *m)
{
	struct world *w = (struct world *)((char *)m - offsetof(struct world, keys_msg));

	if (w->keys_to_come == NULL)
		return;
	set_keys(w, w->keys_to_come);
	w->keys_to_come = NULL;
}

/* What the feed does: the worker has the keys before this returns to whoever waits. */
static void catch_up(void *ctx)
{
	struct world *w = ctx;

	w->caught_up++;
	w->keys_msg.cb = keys_come;
	loop_post(w->lane.loop, &w->keys_msg);
}

/* ---- the world ------------------------------------------------------------------------------- */

int authn_setup(void **state)
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
	    .audience = STR("gateway"), .basic_without_tls = &w->basic_without_tls,
	    .max_tokens = 8, .loop = w->lane.loop, .obs = w->worker,
	    .principals = w->principals, .lane = w->lane.pool, .store = w->x.store,
	    .hasher = w->hasher, .catch_up = catch_up, .catch_up_ctx = w }, &w->authn), OK);
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

int authn_teardown(void **state)
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

static void asked_cb(struct request *r, enum err e)
{
	struct asked *c = (struct asked *)r;

	c->calls++;
	c->e = e;
}

void asked_init(struct world *w, struct asked *c)
{
	*c = (struct asked){ .calls = 0 };
	request_init(&c->r);
	c->r.loop = w->lane.loop;
	c->r.obs = w->worker;
	c->r.correlation_id = STR("x");
}

enum err asked_start(struct world *w, struct asked *c, const char *authorization)
{
	if (authorization != NULL)
		assert_int_equal(request_add_header(&c->r, STR("Authorization"), str_c(authorization)), OK);
	c->e = authn_request(w->authn, &c->r, asked_cb);
	return c->e;
}

void asked_end(struct asked *c)
{
	request_finish(&c->r);
	request_release(&c->r);
}

enum err ask(struct world *w, const char *authorization, bool *at_once)
{
	struct asked c;
	bool now;
	enum err e;

	asked_init(w, &c);
	now = asked_start(w, &c, authorization) != E_NOT_READY;
	lane_settle(&w->lane);
	assert_int_equal(c.calls, now ? 0 : 1);
	if (at_once != NULL)
		*at_once = now;
	e = c.e;
	assert_true(e == OK || c.r.auth.principal == NULL);
	asked_end(&c);
	return e;
}

long failures(struct world *w, const char *method, const char *reason)
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

void tick_past(struct world *w, int64_t wall)
{
	while (loop_wall(w->lane.loop) <= wall)
		lane_tick(&w->lane);
}
