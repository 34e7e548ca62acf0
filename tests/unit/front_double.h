/* A gateway behind the front that does what the test's path says, in place of src/api; and the front
 * itself on a worker thread with real sockets. Included by one test program each. */
#ifndef FRONT_DOUBLE_H
#define FRONT_DOUBLE_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/heap.h"
#include "front/front.h"
#include "front/gate.h"
#include "front/peers.h"
#include "obs/obs.h"

/* ---- api ----------------------------------------------------------------------------------- */

struct later {
	struct loop_timer timer;
	struct request *r;
};

static atomic_int started, running, gone; /* api_start, waiting for a timer, on_gone */
static atomic_bool hold, held; /* "/hold" keeps the worker while hold is set */
static char big[1 << 20];

const struct op ops_all[2] = { { .name = "double", .path = "/" }, { .name = "large", .path = "/flow", .large = true } };
const size_t ops_count = 2;

void api_write_envelope(enum err e, struct str request_id, struct buf *out)
{
	buf_printf(out, "{\"code\":\"%s\",\"request_id\":\"%.*s\"}", err_code(e), STR_ARG(request_id));
}

enum api_next api_start(struct api *a, struct request *r)
{
	(void)a;
	started++;
	request_trace_start(r);
	r->path = str_cut(r->target, '?', &r->query);
	if (str_eq(r->path, STR("/flow")))
		r->op = &ops_all[1];
	if (str_starts(r->path, STR("/early"))) {
		step_done(request_fail_code(r, E_NOT_FOUND));
		return API_ANSWERED;
	}
	return API_READ_BODY;
}

static struct step describe(struct request *r)
{
	struct buf *b = &r->reply.buf;

	r->reply.status = 200;
	r->reply.content_type = STR("text/plain");
	buf_printf(b, "%.*s %.*s at %.*s\n", STR_ARG(r->method), STR_ARG(r->target),
	    STR_ARG(r->authority));
	for (size_t i = 0; i < r->nheaders; i++)
		buf_printf(b, "%.*s=%.*s\n", STR_ARG(r->headers[i].name), STR_ARG(r->headers[i].value));
	buf_addc(b, '\n');
	buf_adds(b, buf_str(&r->body));
	return request_reply(r);
}

static void later_cb(struct loop_timer *t)
{
	struct later *l = (struct later *)t;

	running--;
	step_done(describe(l->r));
}

static void gone_cb(struct request *r)
{
	struct later *l = r->step_data;

	gone++;
	loop_timer_clear(r->loop, &l->timer);
	running--;
	step_done(request_fail_code(r, E_UPSTREAM_FAILED));
}

static struct step wait_for(struct request *r, int64_t us)
{
	struct later *l = arena_zalloc(&r->arena, sizeof *l);

	l->r = r;
	l->timer.cb = later_cb;
	r->step_data = l;
	r->on_gone = gone_cb;
	running++;
	(void)loop_timer_set(r->loop, &l->timer, us);
	return request_suspend(r);
}

static struct step reply_grpc(struct request *r)
{
	r->reply.status = 200;
	r->reply.grpc = true;
	r->reply.content_type = STR("application/grpc");
	r->reply.body = buf_str(&r->body);
	return request_reply(r);
}

static struct step run(struct request *r)
{
	struct str p = r->path;

	if (r->in != NULL) { /* echo: what the client gives, the client takes */
		r->reply.status = 200;
		r->reply.flow = r->in;
		return request_reply(r);
	}
	if (str_eq(p, STR("/big"))) {
		r->reply.status = 200;
		r->reply.content_type = STR("text/plain");
		r->reply.body = str_n(big, sizeof big);
		return request_reply(r);
	}
	if (str_eq(p, STR("/hold")))
		for (held = true; hold;)
			sched_yield();
	if (str_eq(p, STR("/next")))
		return wait_for(r, 0);
	if (str_eq(p, STR("/soon")))
		return wait_for(r, CLOCK_MS);
	if (str_eq(p, STR("/late")))
		return wait_for(r, 150 * CLOCK_MS);
	if (str_eq(p, STR("/stubborn"))) { /* goes on when the client is gone */
		struct step s = wait_for(r, CLOCK_SEC);

		r->on_gone = NULL;
		return s;
	}
	if (str_eq(p, STR("/never")))
		return wait_for(r, 3600 * CLOCK_SEC);
	if (str_eq(p, STR("/empty"))) {
		r->reply.status = 204;
		return request_reply(r);
	}
	if (str_eq(p, STR("/close")))
		r->reply.close = true;
	if (str_eq(p, STR("/grpc/Echo")))
		return reply_grpc(r);
	if (str_eq(p, STR("/grpc/Fail"))) {
		struct fail f = { 0 };

		fail_set(&f, E_NOT_FOUND, "no \"caf\xc3\xa9\" at 100%%");
		return request_fail(r, &f);
	}
	return describe(r);
}

void api_run(struct api *a, struct request *r)
{
	(void)a;
	step_done(run(r));
}

/* ---- the worker ---------------------------------------------------------------------------- */

struct worker {
	struct loop *loop;
	struct obs *obs;
	struct obs_worker *obs_worker;
	struct front *front;
	struct peers *peers;
	struct gate *gate;
	pthread_t thread;
	struct sockaddr_storage http, grpc, admin;
	atomic_bool drained;
};

static void *worker_main(void *arg)
{
	loop_run(((struct worker *)arg)->loop);
	return NULL;
}

static const struct front_limits default_limits = { .body = 256 * 1024, .headers = 16384,
	.header_count = 64,
	.header_timeout_us = 300 * CLOCK_MS, .body_timeout_us = 300 * CLOCK_MS,
	.idle_timeout_us = 10 * CLOCK_SEC };

/* What the next worker_up allows. */
static struct {
	size_t connections, per_address, requests;
} most = { 1000, 0, 1000 };

/* tls (may be NULL): a reference that is taken. sndbuf: bytes that the sockets hold for a client that does
 * not read, 0: as many as usual. */
static void worker_up_with(struct worker *w, const struct front_limits *limits, struct tls_server *tls,
    int sndbuf)
{
	static const struct obs_route routes[3] = { { "double", "GET" }, { "large", "POST" }, { "none", "none" } };
	static const char *const methods[] = { "none" };
	struct front_config c = { .limits = *limits };
	struct fail f = { 0 };

	memset(w, 0, sizeof *w);
	memset(big, 'x', sizeof big);
	started = running = gone = 0;
	hold = held = false;
	assert_int_equal(loop_new(&w->loop), OK);
	assert_int_equal(obs_new(&w->obs, routes, 2, methods, 1), OK);
	assert_int_equal(obs_worker_new(w->obs, w->loop, false, &w->obs_worker), OK);
	assert_int_equal(front_bind("127.0.0.1:0", &c.http_fd, &w->http, &f), OK);
	assert_int_equal(front_bind("127.0.0.1:0", &c.grpc_fd, &w->grpc, &f), OK);
	assert_int_equal(front_bind("[::1]:0", &c.admin_fd, &w->admin, &f), OK);
	for (int i = 0; i < 3 && sndbuf > 0; i++)
		(void)setsockopt((int[]){ c.http_fd, c.grpc_fd, c.admin_fd }[i], SOL_SOCKET, SO_SNDBUF, &sndbuf,
		    sizeof sndbuf);
	assert_int_equal(peers_new(most.connections, most.per_address, &w->peers), OK);
	assert_int_equal(gate_new(most.requests, 1, &w->gate), OK);
	c.peers = w->peers;
	c.gate = w->gate;
	assert_int_equal(front_new(&c, w->loop, NULL, w->obs_worker, &w->front, &f), OK);
	front_set_tls_take(w->front, tls);
	assert_int_equal(pthread_create(&w->thread, NULL, worker_main, w), 0);
}

static inline void worker_up(struct worker *w, const struct front_limits *limits)
{
	worker_up_with(w, limits, NULL, 0);
}

static void worker_down(struct worker *w)
{
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
	front_free(w->front);
	peers_free(w->peers);
	gate_free(w->gate);
	obs_worker_free(w->obs_worker);
	obs_free(w->obs);
	loop_free(w->loop);
}

struct drain_msg {
	struct loop_msg msg;
	struct worker *w;
};

static void drained_cb(void *arg)
{
	((struct worker *)arg)->drained = true;
}

static void drain_cb(struct loop_msg *m)
{
	struct worker *w = ((struct drain_msg *)m)->w;

	front_drain(w->front, drained_cb, w);
}

static inline void worker_drain(struct worker *w, struct drain_msg *m)
{
	*m = (struct drain_msg){ { .cb = drain_cb }, w };
	loop_post(w->loop, &m->msg);
}

/* ---- the client ---------------------------------------------------------------------------- */

static int dial(const struct sockaddr_storage *to)
{
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	assert_int_equal(connect(fd, (const struct sockaddr *)to, n), 0);
	return fd;
}

static void say(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k < 0)
			return; /* the other side may refuse early; what it said is what counts */
		p = (const char *)p + k;
		n -= (size_t)k;
	}
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* Waits up to 5 s for a condition that another thread brings about. */
#define wait_until(cond) do { \
	int64_t end_ = clock_mono() + 5 * CLOCK_SEC; \
	while (!(cond) && clock_mono() < end_) \
		sched_yield(); \
	assert_true(cond); \
} while (0)

#endif
