#include "tenant.h"

#include "dict.h"

#include <pthread.h>
#include <stdlib.h>

struct tenant {
	bool draining, checkpoint_stable, snapshot_available;
	unsigned in_flight;
	json_int_t lag;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dict tenants;

static struct tenant *find(const char *name)
{
	struct tenant *t = dict_get(&tenants, name);

	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t)
		abort();
	t->checkpoint_stable = t->snapshot_available = true;
	dict_add(&tenants, name, t);
	return t;
}

struct tenant *tenant_enter(const char *name)
{
	struct tenant *t;

	pthread_mutex_lock(&lock);
	t = find(name);
	if (t->draining)
		t = NULL;
	else
		t->in_flight++;
	pthread_mutex_unlock(&lock);
	return t;
}

void tenant_leave(struct tenant *t)
{
	pthread_mutex_lock(&lock);
	t->in_flight--;
	pthread_mutex_unlock(&lock);
}

void tenant_drain(const char *name, bool draining)
{
	pthread_mutex_lock(&lock);
	find(name)->draining = draining;
	pthread_mutex_unlock(&lock);
}

json_t *tenant_status(const char *name)
{
	struct tenant t;

	pthread_mutex_lock(&lock);
	t = *find(name);
	pthread_mutex_unlock(&lock);
	return json_pack("{s:b,s:b,s:b,s:i,s:I,s:b,s:b}", "accepting", !t.draining, "draining",
	                 t.draining, "drained", t.draining && !t.in_flight, "in_flight",
	                 (int)t.in_flight, "lag", t.lag, "checkpoint_stable", t.checkpoint_stable,
	                 "snapshot_available", t.snapshot_available);
}

bool tenant_pretend(const char *name, json_t *members)
{
	struct tenant *t;
	int stable, snapshot;
	json_int_t lag;
	bool ok;

	pthread_mutex_lock(&lock);
	t = find(name);
	lag = t->lag;
	stable = t->checkpoint_stable;
	snapshot = t->snapshot_available;
	ok = !json_unpack_ex(members, NULL, JSON_STRICT, "{s?I,s?b,s?b}", "lag", &lag,
	                     "checkpoint_stable", &stable, "snapshot_available", &snapshot);
	if (ok) {
		t->lag = lag;
		t->checkpoint_stable = stable;
		t->snapshot_available = snapshot;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}
