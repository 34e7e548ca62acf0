#include "routing/nats_source.h"

#include <nats/nats.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#define GET_TIMEOUT_MS 1000
#define STOP_PATIENCE 10 /* seconds; libnats answers at once */
#define SERVERS_MAX 16

struct nats_source {
	char *bucket, *key;
	natsConnection *conn;
	jsCtx *js;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t moved;
	bool connected, closed;
};

/* ---- on threads of libnats ------------------------------------------------------------------- */

static void note(struct nats_source *n, bool connected, bool closed)
{
	pthread_mutex_lock(&n->lock);
	n->connected = connected;
	n->closed |= closed;
	pthread_cond_broadcast(&n->moved);
	pthread_mutex_unlock(&n->lock);
}

static void on_connected(natsConnection *nc, void *ctx)
{
	(void)nc;
	note(ctx, true, false);
}

static void on_lost(natsConnection *nc, void *ctx)
{
	(void)nc;
	log_warn("routing: the connection to NATS is lost; the last document stays in force");
	note(ctx, false, false);
}

static void on_closed(natsConnection *nc, void *ctx)
{
	(void)nc;
	note(ctx, false, true);
}

/* ---- ours ------------------------------------------------------------------------------------ */

static natsStatus set_servers(natsOptions *o, char *list)
{
	const char *server[SERVERS_MAX];
	char *save, *one;
	int n = 0;

	for (one = strtok_r(list, ", ", &save); one != NULL && n < SERVERS_MAX;
	    one = strtok_r(NULL, ", ", &save))
		server[n++] = one;
	return n > 0 ? natsOptions_SetServers(o, server, n) : NATS_INVALID_ARG;
}

static natsStatus set_options(natsOptions *o, struct nats_source *n, char *list)
{
	natsStatus s = set_servers(o, list);

	if (s == NATS_OK)
		s = natsOptions_SetName(o, "gatewayd routing");
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(o, -1); /* the default gives up */
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(o, 250);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, 5000);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(o, true, on_connected, n);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, on_connected, n);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(o, on_lost, n);
	return s == NATS_OK ? natsOptions_SetClosedCB(o, on_closed, n) : s;
}

static natsStatus connect_to(struct nats_source *n, const char *url)
{
	char *list = heap_strdup(url);
	natsOptions *o = NULL;
	jsOptions js;
	natsStatus s = list != NULL ? natsOptions_Create(&o) : NATS_NO_MEMORY;

	if (s == NATS_OK)
		s = set_options(o, n, list);
	if (s == NATS_OK)
		s = natsConnection_Connect(&n->conn, o);
	if (s == NATS_OK)
		note(n, true, false);
	else if (s == NATS_NOT_YET_CONNECTED)
		s = NATS_OK;
	jsOptions_Init(&js);
	js.Wait = GET_TIMEOUT_MS;
	if (s == NATS_OK)
		s = natsConnection_JetStream(&n->js, n->conn, &js);
	natsOptions_Destroy(o);
	heap_free(list);
	return s;
}

static char *copy(struct str s)
{
	char *z = heap_alloc(s.n + 1);

	if (z == NULL)
		return NULL;
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

enum err nats_source_new(const char *url, struct str place, struct nats_source **out,
    struct fail *f)
{
	struct str key, bucket = str_cut(place, '/', &key);
	struct nats_source *n;
	natsStatus s = NATS_NO_MEMORY;

	if (url == NULL)
		return fail_set(f, E_CONFIG, "routing.source nats: needs nats.url");
	if (bucket.n == 0 || key.n == 0)
		return fail_set(f, E_CONFIG, "routing.source must be nats:BUCKET/KEY");
	n = heap_zalloc(sizeof *n);
	if (n == NULL)
		return fail_set(f, E_NOMEM, "no memory for the routing source");
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->moved, NULL);
	n->bucket = copy(bucket);
	n->key = copy(key);
	if (n->bucket != NULL && n->key != NULL)
		s = connect_to(n, url);
	if (s == NATS_OK) {
		*out = n;
		return OK;
	}
	nats_source_free(n);
	return fail_set(f, s == NATS_NO_MEMORY ? E_NOMEM : E_CONFIG, "nats.url '%s': %s", url,
	    natsStatus_GetText(s));
}

/* Whether *what became true in time. */
static bool wait_until(struct nats_source *n, const bool *what, int64_t timeout_us)
{
	struct timespec until;
	bool is;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(timeout_us / CLOCK_SEC);
	pthread_mutex_lock(&n->lock);
	while (!*what && rc == 0)
		rc = pthread_cond_clockwait(&n->moved, &n->lock, CLOCK_MONOTONIC, &until);
	is = *what;
	pthread_mutex_unlock(&n->lock);
	return is;
}

bool nats_source_wait(struct nats_source *n, int64_t timeout_us)
{
	return wait_until(n, &n->connected, timeout_us);
}

void nats_source_free(struct nats_source *n)
{
	bool closed = true;

	if (n == NULL)
		return;
	jsCtx_Destroy(n->js);
	if (n->conn != NULL) {
		natsConnection_Close(n->conn);
		closed = wait_until(n, &n->closed, STOP_PATIENCE * CLOCK_SEC);
		natsConnection_Destroy(n->conn);
	}
	heap_free(n->bucket);
	heap_free(n->key);
	if (!closed) {
		/* a callback may still come: better a leak than a use after free */
		log_error("routing: the connection to NATS did not end");
		return;
	}
	pthread_mutex_destroy(&n->lock);
	pthread_cond_destroy(&n->moved);
	heap_free(n);
}

static enum err take(kvEntry *e, struct nats_value_id *id, struct buf *out)
{
	*id = (struct nats_value_id){ kvEntry_Revision(e), kvEntry_Created(e) };
	if (out == NULL)
		return OK;
	return buf_add(out, kvEntry_Value(e), (size_t)kvEntry_ValueLen(e));
}

enum err nats_source_get(struct nats_source *n, struct nats_value_id *id, struct buf *out,
    struct fail *f)
{
	kvStore *kv = NULL;
	kvEntry *e = NULL;
	natsStatus s = NATS_NOT_YET_CONNECTED;
	enum err err = OK;

	if (natsConnection_Status(n->conn) == NATS_CONN_STATUS_CONNECTED)
		s = js_KeyValue(&kv, n->js, n->bucket);
	if (s == NATS_OK)
		s = kvStore_Get(&e, kv, n->key);
	if (s == NATS_OK && take(e, id, out) != OK)
		err = fail_set(f, E_LIMIT, "the routing document in NATS is too large");
	else if (s == NATS_NOT_FOUND)
		err = fail_set(f, E_NOT_FOUND, "NATS has no key %s in a bucket %s", n->key, n->bucket);
	else if (s == NATS_INVALID_ARG)
		err = fail_set(f, E_CONFIG, "'%s/%s' is no bucket and key of NATS", n->bucket, n->key);
	else if (s != NATS_OK)
		err = fail_set(f, E_STORE_UNAVAILABLE, "NATS: %s", natsStatus_GetText(s));
	kvEntry_Destroy(e);
	kvStore_Destroy(kv);
	return err;
}
