#include "store/poke.h"

#include <nats/nats.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#define SUBJECT "gateway.change"
#define SERVERS_MAX 16
#define STOP_PATIENCE 10 /* seconds; libnats answers at once */

struct poke {
	struct poke_hooks hooks;
	struct id replica;
	natsConnection *conn;
	natsSubscription *sub;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t ended;
	bool conn_closed, sub_done;
};

/* ---- on threads of libnats ----------------------------------------------------------------- */

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *ctx)
{
	struct poke *p = ctx;
	bool own = natsMsg_GetDataLength(msg) == sizeof p->replica.b &&
	    memcmp(natsMsg_GetData(msg), p->replica.b, sizeof p->replica.b) == 0;

	(void)nc, (void)sub;
	natsMsg_Destroy(msg);
	if (!own)
		p->hooks.on_poke(p->hooks.ctx);
}

static void on_lost(natsConnection *nc, void *ctx)
{
	(void)nc, (void)ctx;
	log_warn("nats: connection lost; changes of other replicas wait for the next poll");
}

static void on_connected(natsConnection *nc, void *ctx)
{
	struct poke *p = ctx;

	(void)nc;
	log_info("nats: connected");
	p->hooks.on_poke(p->hooks.ctx); /* whatever was sent meanwhile is lost */
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus err, void *ctx)
{
	(void)nc, (void)sub, (void)ctx;
	log_warn("nats: error", LOG_Z("reason", natsStatus_GetText(err)));
}

static void mark(struct poke *p, bool *what)
{
	pthread_mutex_lock(&p->lock);
	*what = true;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
}

static void on_closed(natsConnection *nc, void *ctx)
{
	struct poke *p = ctx;

	(void)nc;
	mark(p, &p->conn_closed);
}

static void on_sub_done(void *ctx)
{
	struct poke *p = ctx;

	mark(p, &p->sub_done);
}

/* ---- ours ---------------------------------------------------------------------------------- */

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

static natsStatus set_options(natsOptions *o, struct poke *p, char *list)
{
	natsStatus s = set_servers(o, list);

	if (s == NATS_OK)
		s = natsOptions_SetName(o, "gatewayd");
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(o, -1); /* the default gives up */
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(o, 250);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectJitter(o, 250, 250);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, 5000);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(o, true, on_connected, p);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, on_connected, p);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(o, on_lost, p);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(o, on_error, p);
	return s == NATS_OK ? natsOptions_SetClosedCB(o, on_closed, p) : s;
}

static natsStatus connect_to(struct poke *p, char *list)
{
	natsOptions *o = NULL;
	natsStatus s = natsOptions_Create(&o);

	if (s == NATS_OK)
		s = set_options(o, p, list);
	if (s == NATS_OK)
		s = natsConnection_Connect(&p->conn, o);
	natsOptions_Destroy(o);
	if (s != NATS_OK && s != NATS_NOT_YET_CONNECTED)
		return s;
	if (s == NATS_NOT_YET_CONNECTED)
		log_warn("nats: the server is not there yet; polling meanwhile");
	s = natsConnection_Subscribe(&p->sub, p->conn, SUBJECT, on_message, p);
	return s == NATS_OK ? natsSubscription_SetOnCompleteCB(p->sub, on_sub_done, p) : s;
}

enum err poke_start(struct poke **out, const char *url, struct id replica,
    const struct poke_hooks *h, struct fail *f)
{
	struct poke *p = heap_zalloc(sizeof *p);
	char *list = heap_strdup(url);
	natsStatus s = NATS_NO_MEMORY;

	*out = NULL;
	if (p != NULL && list != NULL) {
		p->hooks = *h;
		p->replica = replica;
		pthread_mutex_init(&p->lock, NULL);
		pthread_cond_init(&p->ended, NULL);
		s = connect_to(p, list);
	}
	heap_free(list);
	if (s == NATS_OK) {
		*out = p;
		return OK;
	}
	if (p != NULL)
		poke_stop(p);
	return s == NATS_NO_MEMORY ? fail_set(f, E_NOMEM, "%s", "") :
	    fail_set(f, E_CONFIG, "nats.url '%s': %s", url, natsStatus_GetText(s));
}

void poke_stop(struct poke *p)
{
	struct timespec until;
	int rc = 0;

	if (p == NULL)
		return;
	natsSubscription_Unsubscribe(p->sub);
	natsConnection_Close(p->conn);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_PATIENCE;
	pthread_mutex_lock(&p->lock);
	while (rc == 0 && ((p->conn != NULL && !p->conn_closed) || (p->sub != NULL && !p->sub_done)))
		rc = pthread_cond_clockwait(&p->ended, &p->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&p->lock);
	natsSubscription_Destroy(p->sub);
	natsConnection_Destroy(p->conn);
	if (rc != 0) {
		/* a callback may still come: better a leak than a use after free */
		log_error("nats: the connection did not end");
		return;
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->ended);
	heap_free(p);
}

bool poke_connected(const struct poke *p)
{
	return natsConnection_Status(p->conn) == NATS_CONN_STATUS_CONNECTED;
}

bool poke_send(struct poke *p)
{
	/* while the server is away libnats would keep the message and send it late */
	return poke_connected(p) && natsConnection_Publish(p->conn, SUBJECT, p->replica.b,
	    (int)sizeof p->replica.b) == NATS_OK;
}
