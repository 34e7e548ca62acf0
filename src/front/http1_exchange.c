/* Requests and answers on one connection, from bytes to api_start and back. */
#include "api/api.h"
#include "front/exchange.h"
#include "front/http1_conn.h"
#include "front/http1_reply.h"
#include "front/sock.h"

/* Steps before other connections get their turn. */
#define STEPS 64
/* The rest of a body that nobody wants is read up to here; past it the connection ends instead. */
#define SKIP_MAX (64u << 10)
#define SMALL_BODY 8192 /* copied behind the head: one buffer, one write */

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* ---- answers ------------------------------------------------------------------------------- */

static void respond_cb(struct request *r)
{
	struct exchange *x = exchange_of(r);
	struct http1_conn *c = x->h1.conn;

	x->answered = true;
	if (c == NULL)
		exchange_finish(x);
	else if (!c->driven)
		http1_dirty(c);
}

static const struct request_front http1_front = { .respond = respond_cb, .flows = true };

static bool lists(const struct request *r, struct str option)
{
	for (size_t i = 0; i < r->nheaders; i++)
		if (str_eq(r->headers[i].name, STR("connection")) && header_lists(r->headers[i].value, option))
			return true;
	return false;
}

/* RFC 9112, 9.3: whether the client wants the connection to end. */
static bool client_closes(const struct exchange *x)
{
	const struct request *r = &x->r;

	if (r->known_count[HDR_CONNECTION] == 0)
		return x->h1.http_1_0;
	return lists(r, STR("close")) || (x->h1.http_1_0 && !lists(r, STR("keep-alive")));
}

/* Whether the body that still arrives can be read and thrown away. */
static bool can_skip(const struct http1_conn *c)
{
	return !c->expects && !c->lost && (c->left == CHECK_CHUNKED || c->left <= SKIP_MAX);
}

/* Decides how the connection goes on behind the answer. */
static enum http1_connection decide(struct http1_conn *c, const struct exchange *x)
{
	bool unread = c->state == HTTP1_BODY;
	bool asked = client_closes(x);
	const struct flow *f = x->r.reply.flow;
	bool ends = x->h1.http_1_0 && f != NULL && f->length == FLOW_LENGTH_UNKNOWN;

	c->writer = (struct flow_writer){ .chunked = f != NULL && f->length == FLOW_LENGTH_UNKNOWN && !ends };
	c->last = ends || asked || x->r.reply.close || c->h->draining || (unread && !can_skip(c));
	c->linger = c->last && (unread || !asked);
	if (ends)
		return CONNECTION_ENDS;
	return c->last ? CONNECTION_CLOSE : x->h1.http_1_0 ? CONNECTION_KEEP : CONNECTION_SILENT;
}

static void await_socket(struct http1_conn *c)
{
	c->progress = sock_acked(c->fd.fd);
	deadline_set(&c->deadline, &c->h->send);
}

/* Head and body in one write; what does not fit waits in the request's own memory. */
static bool send_answer(struct http1_conn *c, struct exchange *x)
{
	struct http1 *h = c->h;
	struct str body = http1_reply_body(&x->r);
	enum err e;

	c->queued = true;
	buf_clear(&h->out);
	e = http1_reply_head(&x->r, date_at(&h->date, loop_wall(h->c.loop)), decide(c, x), &h->out);
	if (e == OK && body.n <= SMALL_BODY && buf_adds(&h->out, body) == OK)
		body = STR_NONE;
	if (e != OK || buf_err(&h->out) != OK) {
		c->broken = c->over = true;
		return false;
	}
	if (http1_write(c, buf_str(&h->out), body))
		return true;
	c->out[0] = arena_str(&x->r.arena, c->out[0]);
	if (c->out[0].p == NULL)
		c->broken = c->over = true;
	if (!c->over)
		await_socket(c);
	return false;
}

static void more_cb(struct flow *f, void *arg)
{
	struct exchange *x = arg;

	(void)f;
	if (x->h1.conn != NULL)
		http1_dirty(x->h1.conn);
}

/* The head is out; the body follows as it comes. */
static bool send_flow(struct http1_conn *c, struct exchange *x)
{
	struct flow *f = x->r.reply.flow;

	c->flowing = true;
	f->more = more_cb;
	f->taker = x;
	if (c->writable && http1_write_flow(c, f))
		return true;
	if (c->over)
		return false;
	if (!c->writable && c->deadline.in != &c->h->send)
		await_socket(c);
	else if (c->writable)
		deadline_clear(&c->deadline);
	if (f->err != OK && c->writable) /* an end that looks like none tells the client (RFC 9112, 8) */
		c->broken = c->over = true;
	return false;
}

/* The answer is out. */
static void next_request(struct http1_conn *c)
{
	struct http1 *h = c->h;
	struct exchange *x = c->x;

	c->x = NULL;
	x->h1.conn = NULL;
	exchange_finish(x);
	c->queued = c->flowing = c->paused = false;
	c->linger |= c->lost;
	if (c->last || c->lost) {
		c->over = true;
		return;
	}
	if (c->state == HTTP1_BODY) {
		c->state = HTTP1_SKIP;
		c->taken = c->progress = 0;
		deadline_set(&c->deadline, &h->body);
		return;
	}
	c->state = HTTP1_HEAD;
	deadline_set(&c->deadline, &h->idle);
}

static bool answer(struct http1_conn *c)
{
	bool out;

	if (!c->queued)
		out = send_answer(c, c->x);
	else
		out = c->flowing || (c->writable && http1_write(c, c->out[0], c->out[1]));
	if (out && c->x->r.reply.flow != NULL)
		out = send_flow(c, c->x);
	if (out)
		next_request(c);
	return out;
}

/* ---- the end ------------------------------------------------------------------------------- */

void http1_detach(struct http1_conn *c)
{
	struct exchange *x = c->x;

	if (x == NULL)
		return;
	c->x = NULL;
	x->h1.conn = NULL;
	exchange_lost(x, false);
}

void http1_probe(struct http1_conn *c)
{
	struct exchange *x = c->x;

	if (x->answered) /* just now: that answer will tell */
		return;
	/* A client must be able to take this at any time (RFC 9110, 15.2). If it has closed its side only,
	 * nothing happens; if it has left, its kernel answers with a reset. HTTP/1.0 knows no such answer. */
	if (x->h1.http_1_0 || !http1_write(c, str_n(continue_line, sizeof continue_line - 1), STR_NONE))
		c->broken = c->over = true;
}

/* ---- the head ------------------------------------------------------------------------------ */

static enum err check_head(struct exchange *x)
{
	struct request *r = &x->r;
	struct check_target t;
	struct str host = request_known(r, HDR_HOST);
	enum err e;

	if (r->target.n > HTTP1_TARGET_MAX)
		return E_URI_TOO_LONG;
	e = check_framing(r, x->h1.http_1_0, &x->length, &x->why);
	if (e == OK && !x->h1.http_1_0) /* which knows of no Expect (RFC 9110, 10.1.1) */
		e = check_expect(r);
	if (e != OK)
		return e;
	if (!check_method(r->method))
		return E_NOT_IMPLEMENTED; /* RFC 9110, 9.1; also TRACE and CONNECT */
	e = check_target(r->method, r->target, &t, &x->why);
	if (e != OK)
		return e;
	/* RFC 9112, 3.2.2 lets the absolute form win; one that differs from Host is two requests in one */
	if (t.authority.p != NULL && host.p != NULL && !str_ieq(t.authority, host))
		return check_bad(&x->why, "the URL in the request line and Host name different hosts");
	r->authority = t.authority.p != NULL ? t.authority : host;
	r->target = t.path;
	return OK;
}

/* Copies the head into the request's memory, which may outlive the connection, and reads it there. */
static enum err take_head(struct exchange *x, struct str head)
{
	const struct front_limits *lim = x->h1.conn->h->c.limits;
	struct str copy = arena_str(&x->r.arena, head);
	enum err e;

	if (copy.p == NULL)
		return E_NOMEM;
	e = head_parse((char *)copy.p, copy.n, &x->r, &x->h1.http_1_0, &x->why);
	if (e == E_LIMIT || (e == OK && (head.n > lim->headers || x->r.nheaders > lim->header_count)))
		e = E_HEADERS_TOO_LARGE;
	return e != OK ? e : check_head(x);
}

static struct exchange *new_exchange(struct http1_conn *c)
{
	struct exchange *x = exchange_new(c->h->c.stock);

	if (x == NULL) {
		c->broken = c->over = true;
		return NULL;
	}
	x->h1.conn = c;
	c->x = x;
	c->scan = (struct head_scan){ 0 };
	c->blank = false;
	x->r.front = &http1_front;
	x->r.listener = c->h->c.listener;
	x->r.http_version = 1;
	memcpy(&x->r.peer, &c->peer, sizeof c->peer);
	deadline_clear(&c->deadline);
	return x;
}

/* Answers what can't become a request; whatever follows it on this connection is not listened to. */
static void refuse(struct http1_conn *c, enum err e, const char *why)
{
	struct exchange *x = new_exchange(c);

	if (x == NULL)
		return;
	x->why = why;
	c->state = HTTP1_BODY;
	c->lost = true;
	(void)exchange_start(x, &c->wire, e);
}

static void run(struct http1_conn *c)
{
	c->x->complete = true;
	c->state = HTTP1_WAIT;
	deadline_clear(&c->deadline);
	if (c->fin)
		deadline_set(&c->deadline, &c->h->parting);
	api_run(c->h->c.stock->api, &c->x->r);
	if (c->x->answered)
		deadline_clear(&c->deadline);
}

/* The body is wanted, and has yet to come. */
static void expect_body(struct http1_conn *c)
{
	c->progress = 0;
	deadline_set(&c->deadline, &c->h->body);
	if (c->expects && !http1_write(c, str_n(continue_line, sizeof continue_line - 1), STR_NONE))
		c->broken = c->over = true;
	c->expects = false;
}

static void begin(struct http1_conn *c, size_t len)
{
	struct http1 *h = c->h;
	struct exchange *x = new_exchange(c);
	enum err e;
	bool wanted;

	if (x == NULL)
		return;
	e = take_head(x, str_n(h->p, len));
	http1_take(h, len);
	c->lost = e != OK;
	c->left = x->length;
	c->taken = 0;
	c->chunked = (struct chunked){ 0 };
	c->state = c->left > 0 || c->lost ? HTTP1_BODY : HTTP1_WAIT;
	c->expects = h->n == 0 && !x->h1.http_1_0 && c->left > 0 &&
	    str_ieq(request_known(&x->r, HDR_EXPECT), STR("100-continue"));
	wanted = exchange_start(x, &c->wire, e);
	if (wanted && c->left == 0)
		run(c);
	else if (wanted)
		expect_body(c);
}

/* More of the head is needed. */
static bool await_head(struct http1_conn *c)
{
	struct http1 *h = c->h;

	if (http1_fetch(c))
		return true;
	if (!c->over && c->eof && h->n > 0)
		refuse(c, E_BAD_REQUEST, "the head of the request is cut off");
	else if (c->eof)
		c->over = true;
	else if (h->n > 0 && c->deadline.in != &h->head)
		deadline_set(&c->deadline, &h->head);
	return c->x != NULL;
}

static bool read_head(struct http1_conn *c)
{
	struct http1 *h = c->h;
	const char *why = NULL;
	size_t len = 0;
	enum err e;

	if (h->n == 0)
		return await_head(c);
	if (h->n >= 2 && c->scan.line == 0 && memcmp(h->p, "\r\n", 2) == 0 && !c->blank) {
		c->blank = true; /* RFC 9112, 2.2 */
		c->scan = (struct head_scan){ 0 };
		http1_take(h, 2);
	}
	e = head_find(&c->scan, h->p, h->n, &len, &why);
	if (e == OK && len == 0 && h->n > h->c.limits->headers)
		e = c->scan.line > 0 ? E_HEADERS_TOO_LARGE : E_URI_TOO_LONG;
	if (e != OK)
		refuse(c, e, why);
	else if (len > 0)
		begin(c, len);
	else
		return await_head(c);
	return !c->over;
}

/* ---- the body ------------------------------------------------------------------------------ */

static void room_cb(struct flow *f, void *arg, size_t n)
{
	struct http1_conn *c = ((struct exchange *)arg)->h1.conn;

	(void)n;
	if (c == NULL || !c->paused || flow_full(f))
		return;
	c->paused = false;
	if (!c->x->answered)
		deadline_set(&c->deadline, &c->h->body);
	http1_dirty(c);
}

/* The request ends here, and so does the connection. */
static void fail_body(struct http1_conn *c, enum err e)
{
	c->lost = true;
	if (c->state == HTTP1_SKIP) {
		c->over = c->linger = true;
		return;
	}
	if (c->x->r.in != NULL) { /* who takes it tells the request, which may not be ours now */
		flow_fail(c->x->r.in, e);
		return;
	}
	c->x->r.reply.close = true;
	step_done(exchange_fail(c->x, e));
}

/* The framing of the body, not what is in it. */
static void fail_framing(struct http1_conn *c, const char *why)
{
	if (c->x != NULL)
		c->x->why = why;
	fail_body(c, E_BAD_REQUEST);
}

static enum err give_data(struct http1_conn *c, struct exchange *x, struct str data)
{
	enum err e = OK;

	if (c->taken > request_body_max(&x->r, c->h->c.limits->body))
		return E_BODY_TOO_LARGE;
	if (exchange_large(x, data.n))
		e = exchange_run_flow(x, room_cb);
	if (e != OK)
		return e;
	return x->r.in != NULL ? flow_give(x->r.in, data) : buf_adds(&x->r.body, data);
}

static void take_data(struct http1_conn *c, struct str data)
{
	enum err e = OK;

	c->taken += data.n;
	if (c->state == HTTP1_SKIP)
		e = c->taken > SKIP_MAX ? E_BODY_TOO_LARGE : OK;
	else
		e = give_data(c, c->x, data);
	if (e != OK)
		fail_body(c, e);
}

static void body_ends(struct http1_conn *c)
{
	if (c->state == HTTP1_BODY && c->x->r.in != NULL) {
		c->state = HTTP1_WAIT;
		if (!c->x->answered)
			deadline_clear(&c->deadline);
		if (!c->x->answered && c->fin)
			deadline_set(&c->deadline, &c->h->parting);
		flow_end(c->x->r.in);
		return;
	}
	if (c->state == HTTP1_BODY) {
		run(c);
		return;
	}
	c->state = HTTP1_HEAD;
	deadline_set(&c->deadline, &c->h->idle);
}

static void read_chunks(struct http1_conn *c)
{
	struct http1 *h = c->h;
	enum chunked_step step = CHUNKED_DATA;

	while (step == CHUNKED_DATA && h->n > 0 && !c->lost) {
		struct str data;
		size_t used;

		step = chunked_read(&c->chunked, h->p, h->n, &used, &data);
		http1_take(h, used);
		if (step == CHUNKED_DATA)
			take_data(c, data);
	}
	if (step == CHUNKED_BAD)
		fail_framing(c, "the chunked coding of the body is broken");
	else if (step == CHUNKED_DONE)
		body_ends(c);
}

static void read_length(struct http1_conn *c)
{
	struct http1 *h = c->h;
	struct str data = { h->p, c->left < h->n ? (size_t)c->left : h->n };

	http1_take(h, data.n);
	c->left -= data.n;
	take_data(c, data);
	if (c->left == 0 && !c->lost)
		body_ends(c);
}

static bool read_body(struct http1_conn *c)
{
	if (c->lost)
		return false;
	if (c->state == HTTP1_BODY && c->x->r.in != NULL && flow_full(c->x->r.in)) {
		c->paused = true;
		return false;
	}
	if (c->h->n == 0 && !http1_fetch(c)) {
		if (c->eof && !c->over)
			fail_framing(c, "the body is cut off");
		return c->eof && !c->over;
	}
	if (c->left == CHECK_CHUNKED)
		read_chunks(c);
	else
		read_length(c);
	return true;
}

/* ---- the way of a connection --------------------------------------------------------------- */

/* One step on; false when it must wait for the client, for the answer, or has come to its end. */
static bool step(struct http1_conn *c)
{
	if (c->x != NULL && c->x->answered) {
		if (answer(c))
			return true;
		/* both bodies may be on their way */
		return c->flowing && !c->over && c->state == HTTP1_BODY && read_body(c);
	}
	switch ((enum http1_state)c->state) {
	case HTTP1_HEAD:
		return read_head(c);
	case HTTP1_BODY:
	case HTTP1_SKIP:
		return read_body(c);
	case HTTP1_WAIT:
		break;
	}
	return false;
}

void http1_drive(struct http1_conn *c)
{
	for (int i = 0; i < STEPS; i++)
		if (!step(c) || c->over)
			return;
	http1_dirty(c);
}

void http1_late(struct http1_conn *c)
{
	if (c->x != NULL && c->x->answered)
		return;
	if (c->state != HTTP1_HEAD)
		fail_body(c, E_REQUEST_TIMEOUT);
	else if (c->scan.line > 0)
		refuse(c, E_REQUEST_TIMEOUT, NULL);
	else /* not even a request line */
		c->over = true;
}
