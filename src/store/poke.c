#include "store/poke.h"

#include <nats/nats.h>
#include <string.h>

#include "base/heap.h"
#include "base/log.h"

#define SUBJECT "gateway.change"

struct poke {
	natsOptions *opts;
	natsConnection *conn;
	natsSubscription *sub;
	char self[ID_TEXT_LEN]; /* payload of our own pokes */
	void (*cb)(void *arg);
	void *arg;
};

static void message_cb(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *arg)
{
	struct poke *p = arg;

	(void)nc;
	(void)sub;
	if (!str_eqc(str_n(natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)), p->self))
		p->cb(p->arg);
	natsMsg_Destroy(m);
}

static void lost_cb(natsConnection *nc, void *arg)
{
	(void)nc;
	(void)arg;
	log_warn("NATS is away: changes of other replicas are seen at the next poll");
}

/* What was poked meanwhile is unknown: read. */
static void back_cb(natsConnection *nc, void *arg)
{
	struct poke *p = arg;

	(void)nc;
	log_info("NATS is back");
	p->cb(p->arg);
}

static natsStatus configure(struct poke *p, const char *url)
{
	natsStatus s = natsOptions_Create(&p->opts);

	if (s == NATS_OK)
		s = natsOptions_SetURL(p->opts, url);
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(p->opts, -1);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(p->opts, 500);
	if (s == NATS_OK)
		s = natsOptions_SetRetryOnFailedConnect(p->opts, true, back_cb, p);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(p->opts, lost_cb, p);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(p->opts, back_cb, p);
	return s;
}

enum err poke_new(const char *url, struct id replica, void (*cb)(void *arg), void *arg,
    struct poke **out, struct fail *f)
{
	struct poke *p = heap_zalloc(sizeof *p);
	natsStatus s;

	if (p == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	p->cb = cb;
	p->arg = arg;
	id_text(replica, p->self);
	s = configure(p, url);
	if (s == NATS_OK)
		s = natsConnection_Connect(&p->conn, p->opts);
	if (s == NATS_NOT_YET_CONNECTED)
		s = NATS_OK;
	if (s == NATS_OK)
		s = natsConnection_Subscribe(&p->sub, p->conn, SUBJECT, message_cb, p);
	if (s != NATS_OK) {
		poke_free(p);
		return fail_set(f, E_CONFIG, "nats.url: %s", natsStatus_GetText(s));
	}
	*out = p;
	return OK;
}

void poke_free(struct poke *p)
{
	if (p == NULL)
		return;
	natsSubscription_Destroy(p->sub);
	if (p->conn != NULL)
		natsConnection_Close(p->conn);
	natsConnection_Destroy(p->conn);
	natsOptions_Destroy(p->opts);
	nats_CloseAndWait(2000); /* no callback runs past this */
	heap_free(p);
}

void poke_send(struct poke *p)
{
	(void)natsConnection_PublishString(p->conn, SUBJECT, p->self);
}

bool poke_connected(struct poke *p)
{
	return natsConnection_Status(p->conn) == NATS_CONN_STATUS_CONNECTED;
}
