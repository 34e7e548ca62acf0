#include "front/http1.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/heap.h"
#include "front/date.h"
#include "front/exchange.h"
#include "front/head.h"
#include "front/http1_reply.h"
#include "front/linger.h"
#include "front/listener.h"
#include "front/peers.h"
#include "front/sock.h"

#define TARGET_MAX 8192
#define READ_MAX (64u << 10)
#define OUT_MAX (1u << 20)  /* hard, for one head */
#define SMALL_BODY 8192     /* copied behind the head: one buffer, one write */
#define KEEP_INPUT 4096     /* a larger buffer is given back when it is empty */
#define TURN_MAX 64         /* answers on one connection before others have their turn */
#define BODY_RATE 4096      /* bytes in timeouts.body: a body that comes steadily may take longer */
/* How long a client that has closed its sending side is waited for: some do that behind their request and
 * read on, but most have left. */
#define PARTING_TIME (20 * CLOCK_MS)

struct http1 {
	struct http1_config c;
	struct listener listener;
	struct http1_conn *conns;
	struct http1_conn *due; /* have something to do in this iteration */
	bool draining;
	/* Since accept; since the last answer; since a head began; for the body; for the answer to go. */
	struct deadlines fresh, idle, head, body, send;
	struct deadlines parting; /* since the client closed its side */
	struct date date;
	struct buf out;         /* what is written now */
	char in[READ_MAX];      /* what was read last */
};

struct http1_conn {
	struct loop_fd io;
	struct http1 *h;
	struct http1_conn *next, *prev, *next_due;
	struct exchange *x;     /* the request that is being read or answered */
	struct head_scan scan;  /* of the head that starts `in` */
	struct buf in;          /* read and not used yet: part of a head, or what came behind a request */
	struct buf out;         /* of the answer's head, what the socket did not take */
	struct str rest;        /* of its body, likewise */
	struct deadline deadline;
	uint64_t progress;      /* bytes, when the deadline was last set */
	struct sockaddr_storage peer;
	bool counted;           /* with peers */
	bool is_due;
	bool readable;          /* the socket may hold more */
	bool parted;            /* the client has closed its sending side; there may be bytes before that */
	bool eof;               /* ... and they were read */
	bool broken;            /* the socket is: closed without a word */
	bool over;              /* closed as soon as what was answered is out */
	bool linger;            /* the client may still be sending */
};

static void mark_due(struct http1_conn *c)
{
	if (c->is_due)
		return;
	c->is_due = true;
	c->next_due = c->h->due;
	c->h->due = c;
}

static void end(struct http1_conn *c)
{
	c->over = true;
	mark_due(c);
}

/* ---- the head ------------------------------------------------------------------------------ */

static void respond_cb(struct request *r)
{
	struct exchange *x = exchange_of(r);

	x->answered = true;
	if (x->h1.conn != NULL)
		mark_due(x->h1.conn);
	else
		exchange_finish(x);
}

static const struct request_front http1_front = { .respond = respond_cb };

static bool known_method(struct str m)
{
	for (int i = 0; i < M__COUNT; i++)
		if (str_eqc(m, method_name((enum method)i)))
			return true;
	return false;
}

static enum err check_head(struct exchange *x)
{
	struct request *r = &x->r;
	struct check_target t;
	enum err e;

	if (r->target.n > TARGET_MAX)
		return E_URI_TOO_LONG;
	e = check_framing(r, x->h1.http_1_0, &x->length);
	if (e != OK)
		return e;
	if (!known_method(r->method))
		return E_NOT_IMPLEMENTED; /* RFC 9110, 9.1; also TRACE and CONNECT */
	e = check_target(r->method, r->target, &t);
	if (e != OK)
		return e;
	/* RFC 9112, 3.2.2: the absolute form wins over Host */
	r->authority = t.authority.p != NULL ? t.authority : request_known(r, HDR_HOST);
	r->target = t.path;
	return OK;
}

/* Copies the head into the request's memory and reads it there. */
static enum err take_parts(struct exchange *x, const char *p, size_t n)
{
	const struct front_limits *lim = x->h1.conn->h->c.limits;
	char *copy = arena_alloc(&x->r.arena, n);
	enum err e;

	if (copy == NULL)
		return E_NOMEM;
	memcpy(copy, p, n);
	e = head_parse(copy, n, &x->r, &x->h1.http_1_0);
	if (e == OK && (n > lim->headers || x->r.nheaders > lim->header_count))
		e = E_HEADERS_TOO_LARGE;
	return e != OK ? e : check_head(x);
}

static void run(struct http1_conn *c, struct exchange *x)
{
	deadline_clear(&c->deadline);
	if (c->parted)
		deadline_set(&c->deadline, &c->h->parting);
	x->complete = true;
	api_run(x->stock->api, &x->r);
}

static struct exchange *new_exchange(struct http1_conn *c)
{
	struct exchange *x = exchange_new(c->h->c.stock);

	if (x == NULL) {
		c->broken = true;
		mark_due(c);
		return NULL;
	}
	x->h1.conn = c;
	c->x = x;
	x->r.front = &http1_front;
	x->r.listener = c->h->c.listener;
	x->r.http_version = 1;
	x->r.peer = c->peer;
	return x;
}

/* An answer to what is no request, or not yet; the connection ends with it. */
static void refuse(struct http1_conn *c, enum err e)
{
	struct exchange *x = new_exchange(c);

	deadline_clear(&c->deadline);
	c->linger = true;
	if (x == NULL)
		return;
	x->length = CHECK_CHUNKED; /* who knows what follows */
	(void)exchange_start(x, e);
}

/* RFC 9110, 10.1.1. */
static void say_continue(struct http1_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	/* nothing else is on its way: the socket has room, or it is no good */
	if (send(c->io.fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1) {
		c->broken = true;
		mark_due(c);
	}
}

static void await_body(struct http1_conn *c, struct exchange *x, bool more)
{
	c->progress = 0;
	deadline_set(&c->deadline, &c->h->body);
	if (!more && !x->h1.http_1_0 && str_ieq(request_known(&x->r, HDR_EXPECT), STR("100-continue")))
		say_continue(c);
}

/* The head of n bytes at p is there; `more`: so is something behind it. */
static void begin(struct http1_conn *c, const char *p, size_t n, bool more)
{
	struct exchange *x = new_exchange(c);
	enum err e;

	if (x == NULL)
		return;
	deadline_clear(&c->deadline);
	e = take_parts(x, p, n);
	if (e != OK) {
		x->length = CHECK_CHUNKED;
		c->linger = true;
	}
	if (!exchange_start(x, e))
		return;
	if (x->length == 0)
		run(c, x);
	else
		await_body(c, x, more);
}

/* Starts the clock with the first byte; that of a new connection runs already. */
static void await_head(struct http1_conn *c)
{
	if (c->deadline.in != &c->h->fresh && c->deadline.in != &c->h->head)
		deadline_set(&c->deadline, &c->h->head);
}

/* Bytes used: of a whole head, or of an empty line before it (RFC 9112, 2.2); 0: more are needed. */
static size_t take_head(struct http1_conn *c, const char *p, size_t n)
{
	size_t len;
	enum err e;

	if (c->scan.at == 0 && n >= 2 && p[0] == '\r' && p[1] == '\n')
		return 2;
	e = head_find(&c->scan, p, n, &len);
	if (e == OK && len == 0 && n > c->h->c.limits->headers)
		e = c->scan.line > 0 ? E_HEADERS_TOO_LARGE : E_URI_TOO_LONG;
	if (e == OK && len == 0) {
		await_head(c);
		return 0;
	}
	c->scan = (struct head_scan){ 0 };
	if (e == OK)
		begin(c, p, len, n > len);
	else
		refuse(c, e);
	return e == OK ? len : n;
}

/* ---- the body ------------------------------------------------------------------------------ */

/* Ends the connection with an answer before the request is complete. */
static void refuse_body(struct http1_conn *c, enum err e)
{
	struct exchange *x = c->x;

	assert(!x->answered && !x->complete);
	deadline_clear(&c->deadline);
	c->linger = true;
	x->r.reply.close = true;
	step_done(request_fail_code(&x->r, e));
}

static size_t take_length(struct http1_conn *c, struct exchange *x, struct str s)
{
	uint64_t left = x->length - x->r.body.n;
	size_t k = left < s.n ? (size_t)left : s.n;

	if (buf_add(&x->r.body, s.p, k) != OK)
		refuse_body(c, E_NOMEM);
	else if (x->r.body.n == x->length)
		run(c, x);
	return k;
}

static size_t take_chunks(struct http1_conn *c, struct exchange *x, struct str s)
{
	enum chunked_step step;
	struct str data;
	size_t at = 0, used;

	while ((step = chunked_read(&x->h1.chunked, s.p + at, s.n - at, &used, &data)) == CHUNKED_DATA) {
		at += used;
		if (x->r.body.n + data.n > c->h->c.limits->body || buf_adds(&x->r.body, data) != OK) {
			refuse_body(c, E_BODY_TOO_LARGE);
			return at;
		}
	}
	if (step == CHUNKED_BAD)
		refuse_body(c, E_BAD_REQUEST);
	else if (step == CHUNKED_DONE)
		run(c, x);
	return at + used;
}

static size_t take_body(struct http1_conn *c, struct str s)
{
	struct exchange *x = c->x;

	return x->length == CHECK_CHUNKED ? take_chunks(c, x, s) : take_length(c, x, s);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* One request at a time: what comes behind it waits. */
static bool wants_input(const struct http1_conn *c)
{
	return !c->over && !c->broken && (c->x == NULL || (!c->x->complete && !c->x->answered));
}

/* Takes what it can of the bytes at p; returns how many. */
static size_t take(struct http1_conn *c, const char *p, size_t n)
{
	size_t used = 0, k = 1;

	while (k > 0 && used < n && wants_input(c)) {
		k = c->x == NULL ? take_head(c, p + used, n - used)
		    : take_body(c, str_n(p + used, n - used));
		used += k;
	}
	return used;
}

/* Goes on with what was kept. False when that leads nowhere. */
static bool take_kept(struct http1_conn *c)
{
	size_t used = take(c, c->in.p, c->in.n);

	if (used > 0)
		buf_consume(&c->in, used);
	if (c->in.n == 0 && c->in.cap > KEEP_INPUT)
		buf_release(&c->in);
	return used > 0;
}

static void take_new(struct http1_conn *c, const char *p, size_t n)
{
	size_t used = c->in.n == 0 ? take(c, p, n) : 0;

	if (buf_add(&c->in, p + used, n - used) != OK)
		c->broken = true;
	else if (used == 0)
		(void)take_kept(c);
}

static void read_input(struct http1_conn *c)
{
	struct http1 *h = c->h;
	ssize_t n;

	do
		n = recv(c->io.fd, h->in, sizeof h->in, 0);
	while (n < 0 && errno == EINTR);
	c->readable = false;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		/* a short read has emptied the socket, and what comes next makes an edge; but a FIN that
		 * was there makes none */
		c->readable = n == sizeof h->in || c->parted;
		take_new(c, h->in, (size_t)n);
	} else {
		c->eof = n == 0;
		c->broken |= n < 0;
	}
	if (c->readable || c->eof || c->broken)
		mark_due(c);
}

static void io_cb(struct loop_fd *fd, uint32_t events)
{
	struct http1_conn *c = (struct http1_conn *)((char *)fd - offsetof(struct http1_conn, io));

	c->broken |= (events & (EPOLLERR | EPOLLHUP)) != 0;
	c->parted |= (events & EPOLLRDHUP) != 0;
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	if (c->broken || (c->x != NULL && c->x->answered))
		mark_due(c);
	else if (wants_input(c) && c->readable)
		read_input(c);
	else if (c->parted && c->x != NULL && c->deadline.in == NULL)
		deadline_set(&c->deadline, &c->h->parting);
}

/* ---- writing ------------------------------------------------------------------------------- */

static bool token_in(const struct request *r, struct str member)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (str_eq(r->headers[i].name, STR("connection")) &&
		    header_lists(r->headers[i].value, member))
			return true;
	return false;
}

/* The bytes of the body, which nobody wants, are all here. */
static bool skippable(const struct http1_conn *c, const struct exchange *x)
{
	return x->complete || (x->length != CHECK_CHUNKED && c->in.n >= x->length);
}

/* RFC 9112, 9.3. */
static enum http1_connection decide_connection(const struct http1_conn *c, const struct exchange *x)
{
	bool named = x->r.known_count[HDR_CONNECTION] > 0;

	if (x->r.reply.close || c->h->draining || !skippable(c, x) ||
	    (named && token_in(&x->r, STR("close"))))
		return CONNECTION_CLOSE;
	if (!x->h1.http_1_0)
		return CONNECTION_SILENT;
	return named && token_in(&x->r, STR("keep-alive")) ? CONNECTION_KEEP : CONNECTION_CLOSE;
}

/* Bytes that the socket took; of what it did not, `out` keeps the head and `rest` views the body. */
static bool write_parts(struct http1_conn *c, struct str head, struct str body, size_t *sent)
{
	struct iovec iov[2] = { { (char *)head.p, head.n }, { (char *)body.p, body.n } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = body.n > 0 ? sendmsg(c->io.fd, &m, MSG_NOSIGNAL)
		    : send(c->io.fd, head.p, head.n, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	*sent = n > 0 ? (size_t)n : 0;
	c->broken |= n < 0 && errno != EAGAIN;
	return n >= 0 && *sent == head.n + body.n;
}

static bool write_first(struct http1_conn *c, struct exchange *x)
{
	struct http1 *h = c->h;
	struct buf *out = &h->out;
	struct str body = http1_reply_body(&x->r);
	enum http1_connection connection = decide_connection(c, x);
	size_t sent, of_head;

	x->h1.written = true;
	x->h1.last = connection == CONNECTION_CLOSE;
	buf_clear(out);
	if (http1_reply_head(&x->r, date_at(&h->date, loop_wall(h->c.loop)), connection, out) == OK &&
	    body.n <= SMALL_BODY && buf_adds(out, body) == OK)
		body = STR_NONE;
	c->broken |= buf_err(out) != OK;
	if (c->broken || write_parts(c, buf_str(out), body, &sent))
		return !c->broken;
	of_head = sent < out->n ? sent : out->n;
	c->rest = str_skip(body, sent - of_head);
	c->broken |= buf_adds(&c->out, str_skip(buf_str(out), of_head)) != OK;
	c->progress = sock_acked(c->io.fd);
	deadline_set(&c->deadline, &h->send);
	return false;
}

static bool write_on(struct http1_conn *c)
{
	size_t sent, of_head;
	bool all = write_parts(c, buf_str(&c->out), c->rest, &sent);

	of_head = sent < c->out.n ? sent : c->out.n;
	buf_consume(&c->out, of_head);
	c->rest = str_skip(c->rest, sent - of_head);
	return all;
}

/* The answer is out: the connection goes on without its exchange, or is over. */
static void finish(struct http1_conn *c, struct exchange *x)
{
	if (x->h1.last) {
		c->linger |= !x->complete;
		c->over = true;
	} else if (!x->complete) {
		buf_consume(&c->in, (size_t)x->length);
	}
	c->x = NULL;
	buf_release(&c->out);
	exchange_finish(x);
	deadline_set(&c->deadline, &c->h->idle);
}

/* False when the socket takes no more for now. */
static bool write_reply(struct http1_conn *c)
{
	struct exchange *x = c->x;

	if (!(x->h1.written ? write_on(c) : write_first(c, x)))
		return false;
	finish(c, x);
	return true;
}

/* ---- connections --------------------------------------------------------------------------- */

static void close_conn(struct http1_conn *c)
{
	struct http1 *h = c->h;
	struct exchange *x = c->x;

	assert(!c->is_due);
	deadline_clear(&c->deadline);
	loop_del(h->c.loop, &c->io);
	if (x != NULL) {
		x->h1.conn = NULL;
		exchange_lost(x, false);
	}
	if (!c->broken && !c->eof && (c->linger || c->readable || c->in.n > 0))
		linger_take(h->c.linger, c->io.fd);
	else
		close(c->io.fd);
	if (c->counted)
		peers_leave(h->c.peers, (struct sockaddr *)&c->peer);
	*(c->prev != NULL ? &c->prev->next : &h->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	buf_release(&c->in);
	buf_release(&c->out);
	heap_free(c);
}

static bool answered(const struct http1_conn *c)
{
	return c->x != NULL && c->x->answered;
}

/* Nothing more will come, and what has come leads nowhere. */
static bool deserted(const struct http1_conn *c)
{
	return c->eof && (c->x == NULL || (!c->x->complete && !c->x->answered));
}

/* Writes what is answered and goes on to what came behind it. */
static void turn(struct http1_conn *c)
{
	int i;

	for (i = 0; i < TURN_MAX && !c->broken && !(c->over && c->x == NULL); i++) {
		if (answered(c)) {
			if (!write_reply(c))
				break;
		} else if (!wants_input(c) || !take_kept(c)) {
			break;
		}
	}
	if (i < TURN_MAX && wants_input(c) && c->readable)
		read_input(c); /* once: others have their turn */
	else if (i == TURN_MAX)
		mark_due(c);
	if (c->broken || (c->over && c->x == NULL) || deserted(c)) {
		if (c->is_due)
			return; /* closed when its turn comes */
		close_conn(c);
	}
}

int64_t http1_turn(struct http1 *h)
{
	struct http1_conn *c = h->due;

	h->due = NULL;
	while (c != NULL) {
		struct http1_conn *next = c->next_due;

		c->is_due = false;
		turn(c);
		c = next;
	}
	return h->due != NULL ? 0 : -1;
}

static void accepted_cb(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	struct http1 *h = (struct http1 *)((char *)l - offsetof(struct http1, listener));
	struct http1_conn *c = heap_zalloc(sizeof *c);

	if (c == NULL) {
		close(fd);
		return;
	}
	*c = (struct http1_conn){ .h = h, .peer = *peer, .next = h->conns,
		.io = { .fd = fd, .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .cb = io_cb } };
	buf_init(&c->in, h->c.limits->headers + READ_MAX);
	buf_init(&c->out, OUT_MAX);
	if (h->conns != NULL)
		h->conns->prev = c;
	h->conns = c;
	c->counted = peers_enter(h->c.peers, (const struct sockaddr *)peer) == OK;
	c->broken = loop_add(h->c.loop, &c->io) != OK;
	if (c->broken)
		mark_due(c);
	else if (c->counted)
		deadline_set(&c->deadline, &h->fresh);
	else
		refuse(c, E_OVERLOADED);
}

/* ---- time ---------------------------------------------------------------------------------- */

static struct http1_conn *late(struct deadline *d)
{
	return (struct http1_conn *)((char *)d - offsetof(struct http1_conn, deadline));
}

static void idle_cb(struct deadline *d)
{
	end(late(d));
}

static void head_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->scan.line > 0)
		refuse(c, E_REQUEST_TIMEOUT);
	else /* not even a request line */
		end(c);
}

static void body_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->x->r.body.n < c->progress + BODY_RATE) {
		refuse_body(c, E_REQUEST_TIMEOUT);
		return;
	}
	c->progress = c->x->r.body.n;
	deadline_set(d, &c->h->body);
}

/* A client that reads steadily may take longer than the timeout. */
static void send_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);
	uint64_t acked = sock_acked(c->io.fd);

	if (acked == c->progress) {
		c->broken = true;
		mark_due(c);
		return;
	}
	c->progress = acked;
	deadline_set(d, &c->h->send);
}

static void parting_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->x != NULL && !c->x->answered)
		exchange_gone(c->x);
}

/* ---- the listener -------------------------------------------------------------------------- */

enum err http1_new(const struct http1_config *cfg, struct http1 **out, struct fail *f)
{
	const struct front_limits *lim = cfg->limits;
	struct http1 *h = heap_zalloc(sizeof *h);
	struct loop *l = cfg->loop;

	if (h == NULL) {
		close(cfg->fd);
		return E_NOMEM;
	}
	h->c = *cfg;
	buf_init(&h->out, OUT_MAX);
	deadlines_init(&h->fresh, l, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->idle, l, lim->idle_timeout_us, idle_cb);
	deadlines_init(&h->head, l, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->body, l, lim->body_timeout_us, body_late_cb);
	deadlines_init(&h->send, l, lim->body_timeout_us, send_late_cb);
	deadlines_init(&h->parting, l, PARTING_TIME, parting_cb);
	if (listener_open(&h->listener, l, cfg->fd, accepted_cb) != OK) {
		http1_free(h);
		return fail_set(f, E_INTERNAL, "the HTTP/1.1 listener does not start");
	}
	*out = h;
	return OK;
}

void http1_drain(struct http1 *h)
{
	listener_close(&h->listener);
	h->draining = true;
	for (struct http1_conn *c = h->conns; c != NULL; c = c->next)
		if (c->x == NULL)
			end(c);
}

void http1_free(struct http1 *h)
{
	if (h == NULL)
		return;
	listener_close(&h->listener);
	while (h->conns != NULL) {
		h->conns->is_due = false;
		h->conns->broken = true;
		close_conn(h->conns);
	}
	deadlines_release(&h->fresh);
	deadlines_release(&h->idle);
	deadlines_release(&h->head);
	deadlines_release(&h->body);
	deadlines_release(&h->send);
	deadlines_release(&h->parting);
	buf_release(&h->out);
	heap_free(h);
}
