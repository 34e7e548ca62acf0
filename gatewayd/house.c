#include "house.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "api/ctl.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/heap.h"
#include "base/log.h"
#include "control.h"
#include "front/crew.h"
#include "front/front.h"
#include "front/gate.h"
#include "front/peers.h"
#include "worker.h"

#define LISTENERS 3

struct house_listener {
	const char *name;
	struct sockaddr_storage bound;
	char address[300]; /* as bound, "127.0.0.1:8080" */
	int fd;            /* of the first worker, until it takes it */
	struct crew *crew; /* of all workers' sockets */
};

struct house {
	struct control *control;
	const struct config *config;
	struct house_listener listeners[LISTENERS]; /* http, grpc, admin */
	struct peers *peers; /* all connections, and */
	struct gate *gate;   /* all requests */
	struct worker **workers;
	size_t n;
	atomic_int busy; /* workers that still have requests, once drained */
};

static void bound_text(const struct sockaddr_storage *a, char *out, size_t cap, uint16_t *port)
{
	char t[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

		*port = ntohs(v6->sin6_port);
		snprintf(out, cap, "[%s]:%u", inet_ntop(AF_INET6, &v6->sin6_addr, t, sizeof t), *port);
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;

		*port = ntohs(v4->sin_port);
		snprintf(out, cap, "%s:%u", inet_ntop(AF_INET, &v4->sin_addr, t, sizeof t), *port);
	}
}

static enum err bind_one(struct house_listener *l, const char *name, const struct config_addr *a,
    uint16_t *port, struct fail *f)
{
	char text[sizeof a->host + 16];
	enum err e;

	snprintf(text, sizeof text, strchr(a->host, ':') != NULL ? "[%s]:%u" : "%s:%u", a->host,
	    a->port);
	l->name = name;
	e = front_bind(text, &l->fd, &l->bound, f);
	if (e != OK)
		return fail_wrap(f, "listen.%s", name);
	bound_text(&l->bound, l->address, sizeof l->address, port);
	return OK;
}

/* Worker 0 has the sockets that were bound; the others have siblings of them. */
static enum err sockets_for(struct house *h, size_t i, int fds[LISTENERS], struct fail *f)
{
	for (int k = 0; k < LISTENERS; k++) {
		fds[k] = -1;
		if (i == 0) {
			fds[k] = h->listeners[k].fd;
			h->listeners[k].fd = -1;
		} else if (front_bind_sibling(&h->listeners[k].bound, &fds[k], f) != OK) {
			while (k-- > 0)
				close(fds[k]);
			return f->err;
		}
	}
	return OK;
}

static enum err make_worker(struct house *h, size_t i, struct fail *f)
{
	struct worker_snapshots s;
	int fds[LISTENERS];
	struct worker_config c = { .index = (int)i, .config = h->config, .peers = h->peers, .gate = h->gate };
	enum err e = sockets_for(h, i, fds, f);

	if (e != OK)
		return e;
	control_equip(h->control, &c);
	c.http_fd = fds[0];
	c.grpc_fd = fds[1];
	c.admin_fd = fds[2];
	c.http_crew = h->listeners[0].crew;
	c.grpc_crew = h->listeners[1].crew;
	control_snapshots(h->control, &s);
	return worker_new(&c, &s, &h->workers[i], f);
}

/* What all workers hold in common. */
static enum err open_shared(struct house *h, size_t n)
{
	const struct config *k = h->config;
	enum err e = peers_new((size_t)k->limits_connections, (size_t)k->limits_per_address, &h->peers);

	if (e == OK)
		e = gate_new((size_t)k->limits_requests, n, &h->gate);
	if (e == OK)
		e = crew_new(n, &h->listeners[0].crew);
	return e != OK ? e : crew_new(n, &h->listeners[1].crew);
}

enum err house_open(struct control *control, const struct config *config, struct house **out,
    struct fail *f)
{
	struct house *h = heap_zalloc(sizeof *h);
	size_t n = (size_t)config->workers;
	uint16_t ports[LISTENERS] = { 0 };
	enum err e;

	if (h == NULL)
		return fail_set(f, E_NOMEM, "out of memory");
	*out = h;
	h->control = control;
	h->config = config;
	for (int k = 0; k < LISTENERS; k++)
		h->listeners[k].fd = -1;
	h->workers = heap_zalloc(n * sizeof *h->workers);
	if (h->workers == NULL || open_shared(h, n) != OK)
		return fail_set(f, E_NOMEM, "out of memory");
	e = bind_one(&h->listeners[0], "http", &config->listen_http, &ports[0], f);
	if (e == OK)
		e = bind_one(&h->listeners[1], "grpc", &config->listen_grpc, &ports[1], f);
	if (e == OK)
		e = bind_one(&h->listeners[2], "admin", &config->listen_admin, &ports[2], f);
	if (e == OK)
		e = control_bound(control, ports[0], f);
	for (; e == OK && h->n < n; h->n += e == OK)
		e = make_worker(h, h->n, f);
	return e;
}

enum err house_start(struct house *h, struct fail *f)
{
	enum err e = OK;

	for (size_t i = 0; e == OK && i < h->n; i++)
		e = worker_start(h->workers[i]);
	if (e != OK)
		return fail_set(f, e, "the workers' threads could not be started");
	/* the feed stands before the first request: handlers wait for it */
	e = control_feed_start(h->control, h->workers, h->n, f);
	if (e != OK)
		return e;
	for (size_t i = 0; i < h->n; i++)
		worker_go(h->workers[i]);
	for (int k = 0; k < LISTENERS; k++)
		log_announce("listening", LOG_Z("listener", h->listeners[k].name),
		    LOG_Z("address", h->listeners[k].address));
	return OK;
}

void house_drain(struct house *h, const sigset_t *signals)
{
	const struct timespec step = { 0, 20 * 1000000L };
	int64_t end = clock_mono() + control_drain(h->control);

	workers_drain(h->workers, h->n, &h->busy);
	while (atomic_load(&h->busy) > 0 && clock_mono() < end) {
		int sig = sigtimedwait(signals, NULL, &step);

		control_tick(h->control);
		if (sig == SIGINT || sig == SIGTERM)
			break;
	}
	if (atomic_load(&h->busy) > 0)
		log_warn("requests were still in flight at the end of the drain");
}

/* Order: control jobs may wait for the feed, the feed for the workers; so they end in this order. What
 * comes back to a loop that has ended is settled here, when nothing has an owner left but us. */
void house_close(struct house *h)
{
	if (h == NULL)
		return;
	control_lane_stop(h->control);
	control_feed_stop(h->control);
	for (size_t i = 0; i < h->n; i++)
		worker_join(h->workers[i]);
	for (size_t i = 0; i < h->n; i++)
		worker_settle(h->workers[i]);
	control_forget_workers(h->control);
	for (size_t i = 0; i < h->n; i++)
		worker_free(h->workers[i]);
	for (int k = 0; k < LISTENERS; k++) {
		if (h->listeners[k].fd >= 0)
			close(h->listeners[k].fd);
		crew_free(h->listeners[k].crew);
	}
	peers_free(h->peers);
	gate_free(h->gate);
	heap_free(h->workers);
	heap_free(h);
}
