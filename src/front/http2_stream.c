/* Requests and answers on the streams of one connection: nghttp2's callbacks. */
#include <assert.h>

#include "api/api.h"
#include "base/clock.h"
#include "front/exchange.h"
#include "front/http2_conn.h"
#include "front/http2_rpc.h"
#include "request/flow.h"

/* ---- exchanges of a connection ------------------------------------------------------------- */

static void link_exchange(struct http2_conn *c, struct exchange *x)
{
	x->h2.conn = c;
	x->prev = NULL;
	x->next = c->exchanges;
	if (c->exchanges != NULL)
		c->exchanges->prev = x;
	c->exchanges = x;
}

/* Flow control goes back to the client as bodies are done with; one client's bodies take up only so
 * much memory (RFC 9113, 5.2). */
static void release_held(struct http2_conn *c, size_t n)
{
	c->held -= n;
	if (c->owed > 0 && c->held < HTTP2_BODIES) {
		(void)nghttp2_session_consume_connection(c->session, c->owed);
		c->owed = 0;
		http2_conn_dirty(c);
	}
}

static void unlink_exchange(struct exchange *x)
{
	struct http2_conn *c = x->h2.conn;

	*(x->prev != NULL ? &x->prev->next : &c->exchanges) = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
	x->next = x->prev = NULL;
	release_held(c, x->h2.held);
	x->h2.conn = NULL;
}

static bool works(const struct exchange *x)
{
	return x->started && !x->answered;
}

/* The stream is closed. A step that still works for it keeps the exchange in the connection's list,
 * where it counts against the next stream. */
static void stream_gone(struct exchange *x, bool sent)
{
	struct http2_conn *c = x->h2.conn;

	deadline_clear(&x->h2.deadline);
	x->h2.closed = true;
	if (x->h2.rpc != NULL)
		http2_rpc_closed(x);
	if (--c->streams == 0)
		http2_conn_idle(c);
	if (!works(x))
		unlink_exchange(x);
	exchange_lost(x, sent);
}

void http2_stream_drop_all(struct http2_conn *c)
{
	while (c->exchanges != NULL) {
		struct exchange *x = c->exchanges;
		bool closed = x->h2.closed;

		deadline_clear(&x->h2.deadline);
		unlink_exchange(x);
		if (!closed)
			exchange_lost(x, false);
	}
}

/* ---- answers ------------------------------------------------------------------------------- */

static void respond_cb(struct request *r)
{
	struct exchange *x = exchange_of(r);
	struct http2_conn *c = x->h2.conn;

	x->answered = true;
	if (c == NULL) {
		exchange_finish(x);
		return;
	}
	c->working--;
	http2_conn_dirty(c);
	if (x->h2.closed) {
		unlink_exchange(x);
		exchange_finish(x);
		return;
	}
	if ((x->h2.rpc != NULL ? http2_rpc_finish(x) : http2_submit(x)) != 0)
		(void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, x->h2.stream,
		    NGHTTP2_INTERNAL_ERROR);
}

static const struct request_front http2_front = { .respond = respond_cb, .send = http2_rpc_send,
	.flows = true };

/* ---- the head ------------------------------------------------------------------------------ */

/* Streams that were opened and reset leave work behind that they no longer show (rapid reset). */
static bool too_busy(const struct http2_conn *c)
{
	return c->working >= HTTP2_STREAMS;
}

static int begin_cb(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct http2_conn *c = arg;
	struct exchange *x;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	x = too_busy(c) ? NULL : exchange_new(c->h->c.stock);
	if (x == NULL)
		return nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
		    NGHTTP2_REFUSED_STREAM) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	if (nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, x) != 0) {
		exchange_drop(x);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	x->r.front = &http2_front;
	x->r.listener = c->h->c.listener;
	x->r.http_version = 2;
	x->r.peer = c->peer;
	x->h2.stream = frame->hd.stream_id;
	link_exchange(c, x);
	c->streams++;
	http2_noise_credit(&c->noise);
	if (!c->h->draining)
		deadline_set(&c->deadline, &c->h->head);
	return 0;
}

static enum err take_pseudo(struct request *r, struct str name, struct str value)
{
	struct str copy = arena_str(&r->arena, value);

	if (copy.p == NULL)
		return E_NOMEM;
	if (str_eq(name, STR(":method")))
		r->method = copy;
	else if (str_eq(name, STR(":path")))
		r->target = copy;
	else if (str_eq(name, STR(":authority")))
		r->authority = copy;
	return OK; /* :scheme says nothing that the connection does not */
}

static enum err take_field(struct exchange *x, const struct front_limits *lim, struct str name,
    struct str value)
{
	struct request *r = &x->r;

	x->h2.header_bytes += name.n + value.n + 32; /* RFC 9113, 10.5.1 */
	if (x->h2.header_bytes > lim->headers || r->nheaders >= lim->header_count)
		return E_HEADERS_TOO_LARGE;
	if (name.p[0] == ':')
		return take_pseudo(r, name, value);
	value = arena_str(&r->arena, value);
	return value.p != NULL ? request_add_header(r, name, value) : E_NOMEM;
}

static int header_cb(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
    const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
	struct http2_conn *c = arg;
	struct exchange *x = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);

	(void)flags;
	/* trailers of a request say nothing that we listen to */
	if (x == NULL || frame->headers.cat != NGHTTP2_HCAT_REQUEST || x->h2.fault != OK)
		return 0;
	x->h2.fault = take_field(x, c->h->c.limits, str_n((const char *)name, name_n),
	    str_n((const char *)value, value_n));
	return 0;
}

/* nghttp2 would leave such a field out (a byte that may not be in it, or one that is about the
 * connection); we leave the request out (RFC 9113, 8.1.1). */
static int invalid_header_cb(nghttp2_session *s, const nghttp2_frame *frame, nghttp2_rcbuf *name,
    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);

	(void)name;
	(void)value;
	(void)flags;
	(void)arg;
	if (x != NULL && x->h2.fault == OK)
		x->h2.fault = check_bad(&x->why, "a header is one of the connection, or has a byte that may not be "
		    "in it");
	return 0;
}

static enum err check_head(struct exchange *x)
{
	struct request *r = &x->r;
	struct check_target t;
	struct str host = request_known(r, HDR_HOST);
	enum err e = x->h2.fault;

	if (e != OK)
		return e;
	if (r->target.n > HTTP2_TARGET)
		return E_URI_TOO_LONG;
	if (!check_method(r->method))
		return E_NOT_IMPLEMENTED;
	if (r->authority.p == NULL)
		r->authority = host;
	if (r->known_count[HDR_HOST] > 1 || (host.p != NULL && !str_ieq(host, r->authority)) ||
	    !check_authority(r->authority))
		return check_bad(&x->why, ":authority is not a host and port, or Host says something else");
	e = check_target(r->method, r->target, &t, &x->why);
	if (e == OK && t.authority.p != NULL)
		return check_bad(&x->why, ":path is not a path"); /* RFC 9113, 8.3.1: path and query, or "*" */
	x->length = CHECK_CHUNKED;
	if (e == OK && r->known_count[HDR_CONTENT_LENGTH] > 0 && (r->known_count[HDR_CONTENT_LENGTH] > 1 ||
	    !str_u64(request_known(r, HDR_CONTENT_LENGTH), INT64_MAX, &x->length)))
		e = check_bad(&x->why, "content-length is not one number");
	return e == OK ? check_expect(r) : e;
}

/* ---- the body ------------------------------------------------------------------------------ */

static void run(struct exchange *x)
{
	enum err e = x->h2.grpc ? grpc_end(&x->h2.reader, &x->r.body) : OK;

	deadline_clear(&x->h2.deadline);
	x->complete = true;
	x->why = "the gRPC message is cut off";
	if (e != OK)
		step_done(exchange_fail(x, e));
	else
		api_run(x->stock->api, &x->r);
}

/* An end of the body that is none. */
static void fail_body(struct exchange *x, enum err e)
{
	if (!x->answered)
		deadline_clear(&x->h2.deadline);
	if (x->r.in != NULL) /* who takes it tells the request, which may not be ours now */
		flow_fail(x->r.in, e);
	else
		step_done(exchange_fail(x, e));
}

static void complete(struct exchange *x)
{
	if (x->r.in != NULL) {
		if (!x->answered)
			deadline_clear(&x->h2.deadline);
		flow_end(x->r.in);
	} else if (x->h2.rpc != NULL)
		http2_rpc_end(x);
	else
		run(x);
}

static void headed(struct http2_conn *c, struct exchange *x, bool end)
{
	enum err e = check_head(x);
	bool wanted;

	c->heard = false;
	if (!c->h->draining) /* which has set its own */
		deadline_set(&c->deadline, &c->h->quiet);
	x->h2.grpc = request_is_grpc(&x->r);
	c->working++;
	wanted = exchange_start(x, &c->wire, e);
	if (!wanted)
		return;
	if (x->r.op != NULL && x->r.op->stream)
		http2_rpc_begin(x, end);
	else if (end)
		run(x);
	else
		deadline_set(&x->h2.deadline, &c->h->body);
}

/* Bytes of r.in were taken: the client may send as many more. */
static void room_cb(struct flow *f, void *arg, size_t n)
{
	struct exchange *x = arg;
	struct http2_conn *c = x->h2.conn;
	size_t prepaid = n < x->h2.prepaid ? n : x->h2.prepaid;

	(void)f;
	x->h2.prepaid -= prepaid;
	if (c == NULL)
		return;
	n = n < x->h2.held ? n : x->h2.held;
	x->h2.held -= n;
	release_held(c, n);
	if (!x->h2.closed)
		(void)nghttp2_session_consume_stream(c->session, x->h2.stream, n - prepaid);
	if (x->h2.deadline.in == &c->h->body && !x->answered)
		deadline_set(&x->h2.deadline, &c->h->body);
	http2_conn_dirty(c);
}

static enum err take_data(struct exchange *x, struct str data)
{
	struct buf *body = &x->r.body;
	uint64_t max = request_body_max(&x->r, x->stock->max_body);
	enum err e = OK;

	x->why = "the gRPC message has an unknown flag";
	if (x->h2.grpc)
		return grpc_read(&x->h2.reader, data, (size_t)max, body);
	if ((x->r.in != NULL ? x->r.in->given : body->n) + data.n > max)
		return E_BODY_TOO_LARGE;
	if (exchange_large(x, data.n)) {
		x->h2.prepaid = body->n;
		e = exchange_run_flow(x, room_cb);
	}
	if (e != OK)
		return e;
	if (x->r.in != NULL)
		return flow_give(x->r.in, data);
	return buf_adds(body, data) == OK ? OK : E_NOMEM;
}

static int chunk_cb(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct http2_conn *c = arg;
	struct exchange *x = nghttp2_session_get_stream_user_data(s, id);
	enum err e;

	(void)flags;
	if (x == NULL || (x->answered && x->r.in == NULL)) {
		(void)nghttp2_session_consume(s, id, n);
		return 0;
	}
	if (x->h2.rpc != NULL) {
		http2_rpc_data(x, str_n((const char *)p, n));
		return 0;
	}
	x->h2.held += n;
	c->held += n;
	if (c->held <= HTTP2_BODIES)
		(void)nghttp2_session_consume_connection(s, n);
	else
		c->owed += n;
	e = take_data(x, str_n((const char *)p, n));
	if (x->r.in == NULL)
		(void)nghttp2_session_consume_stream(s, id, n);
	if (e != OK)
		fail_body(x, e);
	return 0;
}

void http2_stream_late_cb(struct deadline *d)
{
	struct exchange *x = (struct exchange *)((char *)d - offsetof(struct exchange, h2.deadline));

	const struct flow *in = x->r.in, *out = x->r.reply.flow;
	size_t came = in != NULL ? (size_t)in->given : x->r.body.n;

	if (x->answered) {
		if (x->sent > x->h2.progress || (out != NULL && flow_held(out).n == 0)) {
			http2_watch_sending(x);
			return;
		}
		(void)nghttp2_submit_rst_stream(x->h2.conn->session, NGHTTP2_FLAG_NONE, x->h2.stream,
		    NGHTTP2_CANCEL);
		http2_conn_dirty(x->h2.conn);
		return;
	}
	if (came >= x->h2.progress + HTTP2_BODY_RATE || (in != NULL && flow_full(in))) {
		x->h2.progress = came;
		deadline_set(d, &x->h2.conn->h->body);
		return;
	}
	fail_body(x, E_REQUEST_TIMEOUT);
}

/* ---- frames -------------------------------------------------------------------------------- */

/* gRPC clients know the text, and ping less from then on. */
static int too_noisy(struct http2_conn *c, uint8_t type)
{
	static const uint8_t pings[] = "too_many_pings";

	if (type == NGHTTP2_PING)
		(void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_ENHANCE_YOUR_CALM, pings,
		    sizeof pings - 1);
	return nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM) == 0 ? 0
	    : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int noise(struct http2_conn *c, uint8_t type)
{
	return http2_noise(&c->noise, loop_now(c->h->c.loop)) ? 0 : too_noisy(c, type);
}

static int companion(struct http2_conn *c, uint8_t type)
{
	return http2_noise_companion(&c->noise, loop_now(c->h->c.loop)) ? 0 : too_noisy(c, type);
}

static int frame_cb(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct http2_conn *c = arg;
	struct exchange *x = frame->hd.stream_id != 0
	    ? nghttp2_session_get_stream_user_data(s, frame->hd.stream_id) : NULL;
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (x != NULL && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
			headed(c, x, end);
		else if (x != NULL && end && (!x->answered || x->r.in != NULL))
			complete(x);
		return 0;
	case NGHTTP2_DATA:
		if (x != NULL && end && (!x->answered || x->r.in != NULL))
			complete(x);
		return !end && frame->hd.length == frame->data.padlen ? noise(c, frame->hd.type) : 0;
	case NGHTTP2_SETTINGS:
		if (!c->greeted) {
			c->greeted = true;
			if (c->streams == 0)
				http2_conn_idle(c);
		}
		return noise(c, frame->hd.type);
	case NGHTTP2_PING:
		return noise(c, frame->hd.type);
	case NGHTTP2_PRIORITY:
	case NGHTTP2_WINDOW_UPDATE:
		return companion(c, frame->hd.type);
	default:
		return 0;
	}
}

static void not_wanted(struct http2_conn *c, int32_t id)
{
	(void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
}

void http2_stream_rest_cb(struct deadline *d)
{
	struct exchange *x = (struct exchange *)((char *)d - offsetof(struct exchange, h2.deadline));

	not_wanted(x->h2.conn, x->h2.stream);
	http2_conn_dirty(x->h2.conn);
}

/* Whether the rest of the body is as good as here: some clients (curl before 8) take a reset that
 * overtakes it for a failure, though the answer is complete. */
static bool nearly_here(const struct exchange *x)
{
	return x != NULL && x->length > 0 && x->length <= HTTP2_REST_MAX && !x->h2.conn->h->draining;
}

/* An answer that came before the end of the body: the rest of the body is not wanted (RFC 9113, 8.1). */
static int sent_cb(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
	int32_t id = frame->hd.stream_id;
	struct http2_conn *c = arg;

	if (frame->hd.type == NGHTTP2_DATA)
		http2_noise_credit(&c->noise);
	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	if (nghttp2_session_get_stream_remote_close(s, id) != 0)
		return 0;
	if (nearly_here(x))
		deadline_set(&x->h2.deadline, &c->h->rest);
	else
		not_wanted(c, id);
	return 0;
}

static int close_cb(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(s, id);

	(void)arg;
	if (x != NULL)
		stream_gone(x, error == NGHTTP2_NO_ERROR);
	return 0;
}

enum err http2_stream_callbacks(nghttp2_session_callbacks **out)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return E_NOMEM;
	http2_reply_callbacks(cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, begin_cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, header_cb);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, invalid_header_cb);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, chunk_cb);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, frame_cb);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, sent_cb);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, close_cb);
	*out = cb;
	return OK;
}
