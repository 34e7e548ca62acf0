/* Whole connections to nodes that say anything: bytes of a node on a connection with two calls in flight or
 * waiting, HTTP/1.1 and gRPC. The first byte chooses the protocol and how many pieces the bytes come in. What
 * is checked beyond memory safety: each call is answered exactly once, what it is answered with is within
 * bounds, and nothing waits for ever once the node has hung up. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "crypto/wire.h"
#include "upstream/endpoint.h"
#include "upstream/upstream.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CALLS 2
#define MAX_BODY 65536

static struct loop *loop;

struct node_case {
	struct upstream *up;
	struct endpoint *ep;
	int node; /* its end of the connection */
	const uint8_t *data;
	size_t n, at, piece;
	unsigned answered;
	struct loop_timer next; /* the node says its next piece */
	struct loop_timer late;
};

static void late_cb(struct loop_timer *t)
{
	(void)t;
	abort(); /* a call hangs */
}

static void say_cb(struct loop_timer *t)
{
	struct node_case *c = (struct node_case *)((char *)t - offsetof(struct node_case, next));
	size_t k = c->n - c->at < c->piece ? c->n - c->at : c->piece;

	if (k > 0 && send(c->node, c->data + c->at, k, MSG_NOSIGNAL) > 0) {
		c->at += k;
		loop_timer_set(loop, &c->next, 0);
	} else {
		shutdown(c->node, SHUT_RDWR);
	}
}

static void answered(void *arg, const struct upstream_response *r)
{
	struct node_case *c = arg;

	if (r->err == OK && (r->status < 200 || r->status > 599 || r->body.n > MAX_BODY))
		abort();
	for (size_t i = 0; r->err == OK && i < r->nheaders; i++)
		for (size_t k = 0; k < r->headers[i].value.n; k++)
			if (r->headers[i].value.p[k] == '\n' || r->headers[i].value.p[k] == '\0')
				abort();
	if (++c->answered > CALLS)
		abort();
	if (c->answered == CALLS)
		loop_stop(loop);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_configure(LOG_ERROR, false);
	return loop_new(&loop) == OK ? 0 : 1;
}

static void open_connection(struct node_case *c, const struct route_shard *rs, bool grpc)
{
	enum err e;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	c->node = pair[1];
	c->ep = shard_pick(shard_get(c->up, rs->kind, rs->name), rs, grpc, false, NULL, 0, &e);
	if (c->ep == NULL)
		abort();
	c->ep->carrier->adopt(c->ep, (struct wire){ .fd = pair[0] });
}

static void run(const uint8_t *data, size_t n, bool grpc, size_t piece)
{
	struct upstream_config config = { .connect_timeout_us = CLOCK_SEC, .first_byte_timeout_us = CLOCK_SEC,
		.total_timeout_us = CLOCK_SEC, .idle_timeout_us = CLOCK_SEC, .max_connections = 1,
		.max_response = MAX_BODY };
	struct route_endpoint re = { .url = STR("x"), .scheme = grpc ? SCHEME_GRPC : SCHEME_HTTP,
		.host = STR("127.0.0.1"), .port = 1, .base = STR(""), .admin = STR("x"), .weight = 1 };
	struct route_shard rs = { ROUTE_AGGREGATE, STR("s"), &re, 1 };
	struct upstream_request q = { .shard = &rs, .method = STR("POST"), .path = STR("/x"), .body = STR("{}"),
		.grpc = grpc };
	struct node_case c = { .data = data, .n = n, .piece = piece, .next.cb = say_cb, .late.cb = late_cb };

	if (upstream_new(&config, loop, &c.up) != OK)
		abort();
	open_connection(&c, &rs, grpc);
	loop_timer_set(loop, &c.next, 0);
	loop_timer_set(loop, &c.late, 5 * CLOCK_SEC);
	for (int i = 0; i < CALLS; i++)
		upstream_send(c.up, &q, answered, &c, NULL);
	loop_run(loop);
	if (c.answered != CALLS)
		abort();
	loop_timer_clear(loop, &c.next);
	loop_timer_clear(loop, &c.late);
	upstream_free(c.up);
	close(c.node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	run(data + 1, n - 1, data[0] & 1, data[0] & 0x80 ? 4096 : 1 + (data[0] >> 1 & 31) * 8);
	return 0;
}
