#include "upstream/http1.h"

#include <sys/epoll.h>

#include "base/heap.h"
#include "crypto/wire.h"
#include "request/flow.h"
#include "upstream/call.h"
#include "upstream/state.h"

#define SMALL_BODY 4096 /* copied behind the head: one buffer, one write */

struct http1 {
	struct loop_fd io;
	struct wire wire;
	struct http1 *prev, *next; /* in ep->idle or ep->conns (those in use) */
	struct endpoint *ep;
	struct upstream_call *call; /* NULL: idle */
	struct buf rest;     /* of the head, what did not go out with the first write */
	struct str body;     /* of the body, likewise; the call's */
	struct flow_writer writer; /* of the call's source */
	size_t exchanges;    /* begun */
	bool paused;         /* the call's sink is full: nothing is read */
	bool hangup;         /* ... though the node has ended the connection */
	bool unread;         /* it was not read to the end */
	int64_t idle_since;
};

/* What a step over the bytes that were read means for the connection. */
enum exchange {
	EX_ON,    /* the exchange goes on */
	EX_REUSE, /* the answer is complete, and the connection may carry another */
	EX_LAST,  /* the answer is complete, and the connection must end */
	EX_BAD    /* not an answer */
};

/* ---- lists ------------------------------------------------------------------------------------- */

static void link_to(void **list, struct http1 *c)
{
	c->prev = NULL;
	c->next = *list;
	if (c->next != NULL)
		c->next->prev = c;
	*list = c;
}

static void unlink_from(void **list, struct http1 *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		*list = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

static void close_conn(struct http1 *c)
{
	struct endpoint *ep = c->ep;

	unlink_from(c->call != NULL ? &ep->conns : &ep->idle, c);
	loop_del(ep->u->loop, &c->io);
	wire_close(&c->wire);
	buf_release(&c->rest);
	heap_free(c);
	endpoint_closed(ep);
}

static void park(struct http1 *c)
{
	struct endpoint *ep = c->ep;

	unlink_from(&ep->conns, c);
	c->call = NULL;
	c->idle_since = loop_now(ep->u->loop);
	link_to(&ep->idle, c);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static bool body_expected(struct str method)
{
	return !str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"));
}

/* The whole head (RFC 9112, 3 and 7.2), and the body when it is small. */
static enum err write_head(struct buf *b, const struct endpoint *ep, const struct upstream_call *call)
{
	struct str method = call_method(call);

	buf_clear(b);
	buf_adds(b, method);
	buf_addc(b, ' ');
	buf_adds(b, ep->base);
	buf_adds(b, call_path(call));
	buf_addz(b, " HTTP/1.1\r\nhost: ");
	buf_adds(b, ep->authority);
	buf_add(b, "\r\n", 2);
	buf_adds(b, call_fields(call));
	if (call->source != NULL && call->source->length == FLOW_LENGTH_UNKNOWN) {
		buf_addz(b, "transfer-encoding: chunked\r\n");
	} else if (call->source != NULL) {
		buf_addz(b, "content-length: ");
		buf_addu(b, call->source->length);
		buf_add(b, "\r\n", 2);
	} else if (call->body.n > 0 || body_expected(method)) {
		buf_addz(b, "content-length: ");
		buf_addu(b, call->body.n);
		buf_add(b, "\r\n", 2);
	}
	buf_add(b, "\r\n", 2);
	if (call->body.n <= SMALL_BODY)
		buf_adds(b, call->body);
	return buf_err(b);
}

/* Keeps of the two parts what has not been written; the body stays where it is. */
static enum err keep_rest(struct http1 *c, struct str head, struct str body, size_t sent)
{
	size_t of_head = sent < head.n ? sent : head.n;

	c->body = str_skip(body, sent - of_head);
	return buf_adds(&c->rest, str_skip(head, of_head));
}

static enum err write_request(struct http1 *c, struct upstream_call *call)
{
	struct buf *b = &c->ep->u->out;
	enum err e = write_head(b, c->ep, call);
	struct str body = call->body.n > SMALL_BODY ? call->body : STR_NONE;
	struct iovec iov[2] = { { b->p, b->n }, { (char *)body.p, body.n } };
	ssize_t k;

	if (e != OK)
		return E_OVERLOADED;
	k = wire_writev(&c->wire, iov, body.n > 0 ? 2 : 1);
	if (k == WIRE_ERROR)
		return E_UPSTREAM_FAILED; /* the kernel took no byte: it never reached the node */
	call->reached = k > 0;
	if (k == (ssize_t)(b->n + body.n))
		return OK;
	return keep_rest(c, buf_str(b), body, k > 0 ? (size_t)k : 0) == OK ? OK : E_OVERLOADED;
}

static bool written(const struct http1 *c)
{
	const struct flow *source = c->call->source;

	return c->rest.n == 0 && c->body.n == 0 && !wire_unflushed(&c->wire) &&
	    (source == NULL || flow_writer_done(&c->writer, source));
}

/* Writes what there is of the source. An error shows when reading. */
static void write_source(struct http1 *c)
{
	struct upstream_call *call = c->call;
	struct flow *f = call->source;
	struct iovec iov[2];
	int n;

	while (c->rest.n == 0 && !wire_unflushed(&c->wire) && (n = flow_writer_next(&c->writer, f, iov)) > 0) {
		ssize_t k = wire_writev(&c->wire, iov, n);

		if (k < 0)
			break;
		call->reached = true;
		flow_writer_wrote(&c->writer, f, (size_t)k);
	}
	call_uploading(call, !f->ended && flow_held(f).n == 0);
}

static void http1_source(struct upstream_call *call)
{
	write_source(call->conn);
}

/* Goes on with what was kept. An error shows when reading. */
static void write_rest(struct http1 *c)
{
	if (!wire_flush(&c->wire))
		return;
	while (c->rest.n > 0 || c->body.n > 0) {
		struct iovec iov[2] = { { c->rest.p, c->rest.n }, { (char *)c->body.p, c->body.n } };
		ssize_t k = wire_writev(&c->wire, iov, 2);
		size_t of_head;

		if (k < 0)
			return;
		c->call->reached = true;
		of_head = (size_t)k < c->rest.n ? (size_t)k : c->rest.n;
		buf_consume(&c->rest, of_head);
		c->body = str_skip(c->body, (size_t)k - of_head);
	}
	if (c->call->source != NULL)
		write_source(c);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* The views of the head point into what the next read overwrites: moves its bytes to the call. */
static enum err keep_head(struct upstream_call *call, const char *p, size_t n)
{
	enum err e = buf_add(&call->head, p, n);

	if (e == OK)
		response_move(&call->resp, call->head.p);
	return e;
}

/* The head is read in place where possible; *p and *n become what stands behind it. */
static enum response_step read_head(struct upstream_call *call, char **p, size_t *n)
{
	size_t before = call->head.n, used = 0;
	enum response_step step;

	if (before == 0) {
		step = response_head(&call->resp, *p, *n, &used);
		if (step == RESPONSE_MORE && keep_head(call, *p, *n) != OK)
			return RESPONSE_BAD;
	} else {
		/* as much as may be head: what of it stands behind the head is parsed where it is */
		size_t room = RESPONSE_MAX_HEAD - before;

		if (buf_add(&call->head, *p, *n < room ? *n : room) != OK)
			return RESPONSE_BAD;
		step = response_head(&call->resp, call->head.p, call->head.n, &used);
	}
	if (step == RESPONSE_DONE) {
		*p += used - before;
		*n -= used - before;
		call->head_seen = true;
	}
	return step;
}

static enum response_step read_body(struct upstream_call *call, char **p, size_t *n)
{
	enum response_step step;
	struct str data;
	size_t used;

	for (;;) {
		step = response_body(&call->resp, *p, *n, &used, &data);
		*p += used;
		*n -= used;
		if (step != RESPONSE_DATA)
			return step;
		if (call_data(call, data) != OK)
			return RESPONSE_BAD;
	}
}

/* Bytes of an answer. Ends the call when they complete it or break it. */
static enum exchange feed(struct http1 *c, char *p, size_t n)
{
	struct upstream_call *call = c->call;
	enum response_step step = RESPONSE_DONE;
	char *start = p;

	if (!call->head_seen)
		step = read_head(call, &p, &n);
	if (step == RESPONSE_DONE)
		step = read_body(call, &p, &n);
	if (step == RESPONSE_MORE && call->head_seen && call->head.n == 0 &&
	    call->resp.base == start && keep_head(call, start, call->resp.at) != OK)
		step = RESPONSE_BAD;
	if (step == RESPONSE_MORE) {
		call_answering(call);
		return EX_ON;
	}
	if (step == RESPONSE_BAD)
		return EX_BAD;
	return n == 0 && call->resp.keep_alive && written(c) ? EX_REUSE : EX_LAST;
}

/* The answer is complete. */
static void end_well(struct http1 *c, bool reuse)
{
	struct endpoint *ep = c->ep;
	struct upstream_call *call = c->call;

	if (!reuse)
		close_conn(c);
	call_end(call); /* until this returns, the connection is in nobody's reach */
	if (reuse)
		park(c);
	endpoint_vacant(ep);
}

static void end_badly(struct http1 *c, enum err e)
{
	struct endpoint *ep = c->ep;
	struct upstream_call *call = c->call;

	close_conn(c);
	call_failed(call, e);
	endpoint_vacant(ep);
}

static void close_idle(struct endpoint *ep)
{
	while (ep->idle != NULL)
		close_conn(ep->idle);
}

static void end_of_stream(struct http1 *c, bool clean)
{
	struct upstream_call *call = c->call;

	if (clean && call->head_seen && response_eof(&call->resp) == RESPONSE_DONE) {
		end_well(c, false);
		return;
	}
	/* a node that has gone took the other connections with it: a retry had better dial */
	if (call->reused && !call->answering)
		close_idle(c->ep);
	end_badly(c, E_UPSTREAM_FAILED);
}

/* Its taker has had enough of the answer for now. */
static bool pause_reading(struct http1 *c, bool hangup)
{
	struct upstream_call *call = c->call;

	if (!call->streaming || !flow_full(call->sink))
		return false;
	c->paused = true;
	c->hangup = hangup;
	call_paused(call);
	return true;
}

/* Behind a full buffer there may be bytes that nobody asked for. */
static bool drained(struct http1 *c)
{
	char byte;

	return wire_read(&c->wire, &byte, 1) == WIRE_AGAIN;
}

static void read_answer(struct http1 *c, bool hangup)
{
	struct upstream *u = c->ep->u;
	enum exchange ex;
	ssize_t n;

	c->unread = false;
	for (int reads = 0;; reads++) {
		if (pause_reading(c, hangup))
			return;
		if (reads == UPSTREAM_READS) { /* others, too, get their turn */
			c->unread = loop_again(u->loop, &c->io) == OK;
			return;
		}
		n = wire_read(&c->wire, u->scratch, UPSTREAM_SCRATCH);
		if (n == WIRE_AGAIN)
			return;
		if (n <= 0) {
			end_of_stream(c, n == 0);
			return;
		}
		ex = feed(c, u->scratch, (size_t)n);
		if (ex != EX_ON)
			break;
		if (n < UPSTREAM_SCRATCH && !hangup && !wire_ended(&c->wire))
			return;
	}
	if (ex == EX_BAD)
		end_badly(c, E_BAD_UPSTREAM);
	else
		end_well(c, ex == EX_REUSE && !hangup && !wire_ended(&c->wire) &&
		    c->ep->nconns <= u->config.max_connections && (n < UPSTREAM_SCRATCH || drained(c)));
}

static void io_cb(struct loop_fd *fd, uint32_t events)
{
	struct http1 *c = (struct http1 *)((char *)fd - offsetof(struct http1, io));

	if (events & EPOLLOUT && c->call != NULL && !written(c))
		write_rest(c);
	if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !c->unread)
		return;
	if (c->call != NULL && c->paused)
		c->hangup |= (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0;
	else if (c->call != NULL)
		read_answer(c, (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0);
	else if (wire_read(&c->wire, c->ep->u->scratch, 1) != WIRE_AGAIN)
		close_conn(c); /* idle: it ended, or it says what nobody asked for; TLS itself may speak */
}

/* ---- as a carrier ------------------------------------------------------------------------------ */

static bool http1_send(struct endpoint *ep, struct upstream_call *call)
{
	struct http1 *c = ep->idle; /* the one used last: the rest may go idle and expire */
	enum err e;

	if (c == NULL)
		return false;
	unlink_from(&ep->idle, c);
	link_to(&ep->conns, c);
	c->call = call;
	c->writer = (struct flow_writer){ .chunked = call->source != NULL &&
		call->source->length == FLOW_LENGTH_UNKNOWN };
	c->paused = c->hangup = c->unread = false;
	call->reused = c->exchanges++ > 0;
	call_sent(call, c);
	e = write_request(c, call);
	if (e != OK) {
		close_conn(c);
		if (call->reused)
			close_idle(ep);
		call_failed(call, e);
	} else if (call->source != NULL) {
		write_source(c);
	}
	return true;
}

static void http1_resume(struct upstream_call *call)
{
	struct http1 *c = call->conn;

	if (!c->paused)
		return;
	c->paused = false;
	read_answer(c, c->hangup);
}

static void http1_adopt(struct endpoint *ep, struct wire w)
{
	struct http1 *c = heap_zalloc(sizeof *c);

	if (c == NULL) {
		wire_close(&w);
		return;
	}
	c->wire = w;
	c->ep = ep;
	c->idle_since = loop_now(ep->u->loop);
	c->io = (struct loop_fd){ .fd = w.fd, .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.cb = io_cb };
	buf_init(&c->rest, UPSTREAM_MAX_OUT);
	if (loop_add(ep->u->loop, &c->io) != OK) {
		wire_close(&c->wire);
		heap_free(c);
		return;
	}
	link_to(&ep->idle, c);
	endpoint_opened(ep);
}

static void http1_drop(struct upstream_call *call)
{
	close_conn(call->conn);
}

static void http1_sweep(struct endpoint *ep, int64_t before)
{
	for (struct http1 *c = ep->idle, *next; c != NULL; c = next) {
		next = c->next;
		if (c->idle_since < before || ep->nconns > ep->u->config.max_connections)
			close_conn(c);
	}
}

const struct carrier http1_carrier = {
	.send = http1_send,
	.adopt = http1_adopt,
	.drop = http1_drop,
	.source = http1_source,
	.resume = http1_resume,
	.sweep = http1_sweep,
};
