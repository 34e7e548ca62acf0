#include "snapshots.h"

#include "authz/decision.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/keyring.h"
#include "iam/signing_key.h"
#include "routing/source.h"
#include "routing/table.h"

void snapshots_init(struct snapshots *s)
{
	*s = (struct snapshots){ .now = { 0 } };
	pthread_mutex_init(&s->mu, NULL);
}

void snapshots_release(struct snapshots *s)
{
	snapshots_let_go(&s->now);
	pthread_mutex_destroy(&s->mu);
}

struct keyring *snapshots_keys(struct snapshots *s)
{
	struct keyring *k;

	pthread_mutex_lock(&s->mu);
	k = keyring_ref(s->now.keys);
	pthread_mutex_unlock(&s->mu);
	return k;
}

struct route_table *snapshots_routes(struct snapshots *s)
{
	struct route_table *t;

	pthread_mutex_lock(&s->mu);
	t = route_table_ref(s->now.routes);
	pthread_mutex_unlock(&s->mu);
	return t;
}

struct certs snapshots_certs(struct snapshots *s)
{
	struct certs certs;

	pthread_mutex_lock(&s->mu);
	certs = certs_ref(&s->now.certs);
	pthread_mutex_unlock(&s->mu);
	return certs;
}

void snapshots_let_go(struct worker_snapshots *s)
{
	keyring_unref(s->keys);
	role_set_unref(s->roles);
	route_table_unref(s->routes);
	certs_unref(&s->certs);
	*s = (struct worker_snapshots){ 0 };
}

void snapshots_adopt(struct snapshots *s, const struct worker_snapshots *next)
{
	struct worker_snapshots old = { 0 };

	pthread_mutex_lock(&s->mu);
	if (next->keys != NULL) {
		old.keys = s->now.keys;
		s->now.keys = keyring_ref(next->keys);
	}
	if (next->roles != NULL) {
		old.roles = s->now.roles;
		s->now.roles = role_set_ref(next->roles);
	}
	if (next->routes != NULL) {
		old.routes = s->now.routes;
		s->now.routes = route_table_ref(next->routes);
	}
	if (next->certs.nodes != NULL) {
		old.certs = s->now.certs;
		s->now.certs = certs_ref(&next->certs);
	}
	pthread_mutex_unlock(&s->mu);
	snapshots_let_go(&old);
}

static enum err load_routes(const struct snapshots *s, const struct snapshots_from *from,
    struct worker_snapshots *out, struct fail *f)
{
	enum err e = route_source_load(from->source, s->now.routes, &out->routes, f);

	if (e != E_ROUTING_INVALID || s->now.routes == NULL)
		return e;
	log_fail("the routing document can't be used; the last good one stays", f);
	fail_clear(f);
	return OK;
}

enum err snapshots_load(struct snapshots *s, const struct snapshots_from *from, struct worker_snapshots *out,
    struct fail *f)
{
	enum err e = OK;

	if (from->keys)
		e = iam_keyring_load(from->store, from->seal, clock_wall(), &out->keys, f);
	if (e == OK && from->roles)
		e = role_set_load(from->store, &out->roles, f);
	if (e == OK && from->routes)
		e = load_routes(s, from, out, f);
	if (e != OK)
		snapshots_let_go(out);
	return e;
}
