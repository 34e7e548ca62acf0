#include "http.h"

#include "bytes.h"
#include "handler.h"
#include "loop.h"
#include "request.h"
#include "tenant.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE      (16u << 10)
#define RESET_AFTER_MS 20 /* so that the peer has read what came before the reset */
#define LINGER_MS      1000

struct http_conn {
	struct watch watch;
	struct timer timer;
	struct loop *loop;
	struct bytes in, out;
	size_t sent;          /* of out */
	struct answer answer; /* the one held back */
	bool held, keep_alive, head_only;
	bool closing, reset, lingering, invited;
};

static void conn_free(struct http_conn *c)
{
	timer_cancel(c->loop, &c->timer);
	loop_close(c->loop, &c->watch);
	answer_release(&c->answer);
	bytes_release(&c->in);
	bytes_release(&c->out);
	free(c);
}

static void write_answer(struct http_conn *c, struct answer *a)
{
	if (a->constant.len)
		bytes_add(&c->out, a->constant.data, a->constant.len);
	else
		answer_write(a, c->head_only, c->keep_alive, &c->out);
	if (a->end != END_KEEP || !c->keep_alive)
		c->closing = true;
	c->reset = a->end == END_RESET;
	answer_release(a);
}

static void refuse(struct http_conn *c, int status)
{
	struct answer a = { 0 };

	c->keep_alive = c->head_only = false;
	answer_problem(&a, status, "bad_request",
	               "the request breaks RFC 9112 or a limit of this node");
	write_answer(c, &a);
}

static void run(struct http_conn *c, const struct request *r, struct slice body)
{
	c->keep_alive = r->keep_alive;
	c->head_only = slice_is(r->method, "HEAD");
	handler_run(r, body, &c->answer);
	if (!c->answer.delay_ms) {
		write_answer(c, &c->answer);
		return;
	}
	c->held = true;
	timer_set(c->loop, &c->timer, c->answer.delay_ms);
}

/* Handles the request at the start of data; the bytes it took, or 0 when more are needed or the
 * connection is to be closed. */
static size_t take_request(struct http_conn *c, const char *data, size_t len)
{
	struct bytes decoded = { 0 };
	struct slice body = { 0 };
	struct request r;
	size_t used = 0;
	int rc = request_head(&r, data, len);

	if (!rc && r.chunked) {
		rc = request_chunks(data + r.head_len, len - r.head_len, &decoded, &used);
		body = (struct slice){ decoded.data, decoded.len };
	} else if (!rc) {
		body = (struct slice){ data + r.head_len, r.content_length };
		used = r.content_length;
		rc = len - r.head_len < used ? -1 : 0;
	}
	if (!rc) {
		used += r.head_len;
		c->invited = false;
		run(c, &r, body);
	} else if (rc > 0) {
		refuse(c, rc);
		used = 0;
	} else {
		used = 0;
		if (r.head_len && r.expect_continue && !c->invited) {
			bytes_add(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
			c->invited = true;
		}
	}
	bytes_release(&decoded);
	return used;
}

static void take_requests(struct http_conn *c)
{
	size_t at = 0, used = 1;

	while (used && at < c->in.len && !c->held && !c->closing) {
		used = take_request(c, c->in.data + at, c->in.len - at);
		at += used;
	}
	bytes_consume(&c->in, at);
}

static void reset(struct http_conn *c)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	conn_free(c);
}

/* All is sent and the connection ends: let the peer read everything before the last close. */
static void part(struct http_conn *c)
{
	if (!c->reset) {
		shutdown(c->watch.fd, SHUT_WR);
		c->lingering = true;
	}
	loop_want(c->loop, &c->watch, c->reset ? 0 : EPOLLIN);
	timer_set(c->loop, &c->timer, c->reset ? RESET_AFTER_MS : LINGER_MS);
}

/* Sends what there is and decides what to wait for; frees the connection when it broke. */
static void flush(struct http_conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->watch.fd, c->out.data + c->sent, c->out.len - c->sent,
		                 MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			loop_want(c->loop, &c->watch, EPOLLOUT);
			return;
		}
		if (n < 0) {
			conn_free(c);
			return;
		}
		c->sent += (size_t)n;
	}
	c->sent = c->out.len = 0;
	if (c->closing)
		part(c);
	else
		loop_want(c->loop, &c->watch, c->held ? EPOLLRDHUP : EPOLLIN);
}

static void linger(struct http_conn *c)
{
	char scrap[4096];
	ssize_t n = recv(c->watch.fd, scrap, sizeof scrap, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_free(c);
}

static void ready(struct watch *w, uint32_t events)
{
	struct http_conn *c = (struct http_conn *)w;
	ssize_t n;

	if (c->lingering) {
		linger(c);
		return;
	}
	if (events & (EPOLLRDHUP | EPOLLERR)) {
		conn_free(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP) && !c->held && !c->reset) {
		bytes_reserve(&c->in, READ_SIZE);
		n = recv(w->fd, c->in.data + c->in.len, c->in.cap - c->in.len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			conn_free(c);
			return;
		}
		if (n > 0)
			c->in.len += (size_t)n;
	}
	take_requests(c);
	flush(c);
}

static void fire(struct timer *t)
{
	struct http_conn *c = (struct http_conn *)((char *)t - offsetof(struct http_conn, timer));

	if (c->reset) {
		reset(c);
	} else if (c->lingering) {
		conn_free(c);
	} else {
		c->held = false;
		write_answer(c, &c->answer);
		take_requests(c);
		flush(c);
	}
}

void http_open(struct loop *l, int fd)
{
	struct http_conn *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->watch = (struct watch){ .fd = fd, .ready = ready };
	c->timer.fire = fire;
	c->loop = l;
	loop_add(l, &c->watch, EPOLLIN);
}
