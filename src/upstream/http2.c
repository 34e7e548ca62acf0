#include "upstream/http2.h"

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>

#include "base/heap.h"
#include "crypto/wire.h"
#include "upstream/call.h"
#include "upstream/http2_fields.h"
#include "upstream/state.h"

#define STREAM_WINDOW (1 << 20)
#define CONNECTION_WINDOW (16 << 20)
#define MAX_STREAMS 1000  /* on one connection, whatever the node allows */
#define MAX_OUT (4u << 20) /* bytes that wait for the socket */
/* Bytes that bring no call on, from one that did to the next: DATA of calls that have left, and far more than
 * there is reason to send besides. */
#define MAX_NOISE (CONNECTION_WINDOW + (1u << 20))

struct http2 {
	struct loop_fd io;
	struct wire wire;
	struct http2 *prev, *next; /* in ep->conns */
	struct http2 *unwritten;   /* next in u->unwritten */
	struct endpoint *ep;
	nghttp2_session *session;
	struct upstream_call *calls; /* on streams, by prev and next */
	size_t streams;      /* open, those of dropped calls included */
	struct buf out;      /* what the socket did not take */
	int64_t idle_since, read_at;
	size_t noise;        /* bytes */
	bool unread;         /* it was not read to the end */
	bool served;         /* has carried an answer */
	bool listed;         /* in u->unwritten */
	bool retired;        /* no new calls: it was silent for too long */
	bool inside;         /* nghttp2 is on the stack: it can't be freed now */
	bool broken;         /* to be closed as soon as it can be */
};

/* ---- lists ------------------------------------------------------------------------------------- */

static void attach(struct http2 *c, struct upstream_call *call)
{
	call->prev = NULL;
	call->next = c->calls;
	if (c->calls != NULL)
		c->calls->prev = call;
	c->calls = call;
}

static void detach(struct http2 *c, struct upstream_call *call)
{
	*(call->prev != NULL ? &call->prev->next : &c->calls) = call->next;
	if (call->next != NULL)
		call->next->prev = call->prev;
}

/* The session has something to write: at the end of this iteration. */
static void will_write(struct http2 *c)
{
	if (c->listed)
		return;
	c->listed = true;
	c->unwritten = c->ep->u->unwritten;
	c->ep->u->unwritten = c;
}

static void unlist(struct http2 *c)
{
	struct http2 **p = &c->ep->u->unwritten;

	if (!c->listed)
		return;
	while (*p != c)
		p = &(*p)->unwritten;
	*p = c->unwritten;
	c->listed = false;
}

static void take_off(struct http2 *c)
{
	unlist(c);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		c->ep->conns = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	loop_del(c->ep->u->loop, &c->io);
	endpoint_closed(c->ep);
}

/* Closes the connection; its calls fail with `e`. Their callbacks may cancel others of them. */
static void close_conn(struct http2 *c, enum err e)
{
	struct endpoint *ep = c->ep;

	c->broken = true;
	if (c->inside)
		return;
	take_off(c);
	c->inside = c->listed = true; /* nothing is written any more */
	while (c->calls != NULL) {
		struct upstream_call *call = c->calls;

		detach(c, call);
		call_failed(call, e);
	}
	nghttp2_session_del(c->session);
	wire_close(&c->wire);
	buf_release(&c->out);
	heap_free(c);
	endpoint_vacant(ep);
}

/* ---- what nghttp2 reports ---------------------------------------------------------------------- */

static struct upstream_call *call_of(nghttp2_session *s, int32_t stream)
{
	return nghttp2_session_get_stream_user_data(s, stream);
}

/* Resets the stream: the answer breaks a rule of ours. */
static void reset(nghttp2_session *s, struct upstream_call *call)
{
	call->resp.fault = "not a valid answer";
	nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_PROTOCOL_ERROR);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t namelen,
    const uint8_t *value, size_t valuelen, uint8_t flags, void *arg)
{
	struct upstream_call *call = call_of(s, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (call == NULL || call->resp.fault != NULL)
		return 0;
	if (!http2_field_read(call, str_n((const char *)name, namelen), str_n((const char *)value, valuelen)))
		reset(s, call);
	return 0;
}

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct upstream_call *call = call_of(s, frame->hd.stream_id);

	(void)arg;
	if (call != NULL)
		call_answering(call);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *p, size_t n,
    void *arg)
{
	struct upstream_call *call = call_of(s, stream);
	struct http2 *c = arg;

	(void)flags;
	c->noise -= n < c->noise ? n : c->noise;
	if (call != NULL && call->resp.fault == NULL && call_data(call, str_n((const char *)p, n)) != OK)
		reset(s, call);
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct http2 *c = arg;
	struct upstream_call *call;

	if (frame->hd.type == NGHTTP2_SETTINGS) {
		if (!c->broken)
			endpoint_vacant(c->ep); /* it may allow more streams now */
		return 0;
	}
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	call = call_of(s, frame->hd.stream_id);
	if (call == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && call->resp.status >= 200) {
		call->head_seen = true;
		c->noise = 0;
	} else if (frame->hd.type == NGHTTP2_HEADERS) {
		call->resp.nheaders = 0; /* of an interim response */
	}
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		call->end_seen = c->served = true;
	return 0;
}

static int on_frame_sent(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
	struct upstream_call *call;

	(void)arg;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	call = call_of(s, frame->hd.stream_id);
	if (call != NULL)
		call->reached = true;
	return 0;
}

/* What the end of a stream means when the answer is not complete. */
static enum err end_of(struct upstream_call *call, uint32_t code)
{
	if (code == NGHTTP2_REFUSED_STREAM) {
		call->reached = false; /* RFC 9113, 8.7: not processed at all */
		return E_UPSTREAM_FAILED;
	}
	if (call->resp.fault != NULL || code == NGHTTP2_PROTOCOL_ERROR)
		return E_BAD_UPSTREAM;
	return E_UPSTREAM_FAILED;
}

static int on_stream_close(nghttp2_session *s, int32_t stream, uint32_t code, void *arg)
{
	struct http2 *c = arg;
	struct upstream_call *call = call_of(s, stream);

	c->streams--;
	c->noise = 0;
	c->idle_since = loop_now(c->ep->u->loop);
	if (call != NULL) {
		detach(c, call);
		/* a reset behind a whole answer only spares the rest of the request (RFC 9113, 8.1) */
		if (call->end_seen && call->head_seen && call->resp.fault == NULL)
			call_end(call);
		else
			call_failed(call, end_of(call, code));
	}
	if (!c->broken)
		endpoint_vacant(c->ep);
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------------- */

/* Copies what comes next of prefix and body. */
static size_t next_bytes(struct upstream_call *call, uint8_t *p, size_t n)
{
	size_t at = call->sent, k = 0;
	uint8_t prefix[GRPC_PREFIX];

	if (call->grpc && at < GRPC_PREFIX) {
		grpc_frame_write((uint32_t)call->body.n, prefix);
		k = GRPC_PREFIX - at < n ? GRPC_PREFIX - at : n;
		memcpy(p, prefix + at, k);
	}
	at = at + k - (call->grpc ? GRPC_PREFIX : 0);
	if (k < n && at < call->body.n) {
		size_t of_body = call->body.n - at < n - k ? call->body.n - at : n - k;

		memcpy(p + k, call->body.p + at, of_body);
		k += of_body;
	}
	call->sent += k;
	return k;
}

static ssize_t give_body(nghttp2_session *s, int32_t stream, uint8_t *p, size_t n, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct upstream_call *call = call_of(s, stream);
	size_t k;

	(void)source;
	(void)arg;
	if (call == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	k = next_bytes(call, p, n);
	if (call->sent == call->body.n + (call->grpc ? GRPC_PREFIX : 0))
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)k;
}

/* Writes b; what the socket does not take goes to (or stays in) c->out. */
static void write_out(struct http2 *c, struct str b)
{
	struct iovec iov = { (char *)b.p, b.n };
	ssize_t k = b.n > 0 ? wire_writev(&c->wire, &iov, 1) : 0;

	if (k == WIRE_ERROR)
		c->broken = true; /* reading tells more, but nothing good */
	else if (b.p == c->out.p)
		buf_consume(&c->out, k > 0 ? (size_t)k : 0);
	else if (buf_adds(&c->out, str_skip(b, k > 0 ? (size_t)k : 0)) != OK)
		c->broken = true;
}

/* Gathers frames up to a bound and writes them at once. False: nothing is left, or the socket is full. */
static bool write_some(struct http2 *c)
{
	struct buf *b = &c->ep->u->frames;

	buf_clear(b);
	while (b->n < UPSTREAM_MAX_OUT / 2) {
		const uint8_t *p;
		ssize_t k = nghttp2_session_mem_send(c->session, &p);

		if (k < 0 || (k > 0 && buf_add(b, p, (size_t)k) != OK))
			c->broken = true;
		if (k <= 0)
			break;
	}
	if (b->n == 0 || c->broken)
		return false;
	write_out(c, buf_str(b));
	return c->out.n == 0 && !c->broken;
}

static void write_all(struct http2 *c)
{
	c->inside = true;
	if (!wire_flush(&c->wire))
		c->broken = true;
	if (c->out.n > 0)
		write_out(c, buf_str(&c->out));
	while (c->out.n == 0 && !wire_unflushed(&c->wire) && !c->broken && write_some(c))
		;
	c->inside = false;
	if (c->broken || (!nghttp2_session_want_read(c->session) &&
	    !nghttp2_session_want_write(c->session) && c->out.n == 0 && !wire_unflushed(&c->wire)))
		close_conn(c, E_UPSTREAM_FAILED);
}

void http2_write_all(struct upstream *u)
{
	while (u->unwritten != NULL) {
		struct http2 *c = u->unwritten;

		u->unwritten = c->unwritten;
		c->listed = false;
		write_all(c);
	}
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* False: there is nothing more to be read for now, or ever. */
static bool read_some(struct http2 *c, bool hangup, enum err *e)
{
	struct upstream *u = c->ep->u;
	ssize_t n = wire_read(&c->wire, u->scratch, UPSTREAM_SCRATCH);

	if (n == WIRE_AGAIN)
		return false;
	c->read_at = loop_now(u->loop);
	c->noise += n > 0 ? (size_t)n : 0;
	if (n <= 0) {
		c->broken = true;
	} else if (nghttp2_session_mem_recv(c->session, (uint8_t *)u->scratch, (size_t)n) != n ||
	    c->noise > MAX_NOISE) {
		c->broken = true;
		*e = E_BAD_UPSTREAM;
	}
	return !c->broken && (n == UPSTREAM_SCRATCH || hangup || wire_ended(&c->wire));
}

static void read_all(struct http2 *c, bool hangup)
{
	enum err e = E_UPSTREAM_FAILED;
	int reads = 0;

	c->inside = true;
	while (reads < UPSTREAM_READS && read_some(c, hangup, &e))
		reads++;
	c->inside = false;
	/* others, too, get their turn */
	c->unread = reads == UPSTREAM_READS && loop_again(c->ep->u->loop, &c->io) == OK;
	if (c->broken)
		close_conn(c, e);
	else
		will_write(c); /* acknowledgements and windows, or the end of the session */
}

static void io_cb(struct loop_fd *fd, uint32_t events)
{
	struct http2 *c = (struct http2 *)((char *)fd - offsetof(struct http2, io));

	if (events & EPOLLOUT && (c->out.n > 0 || wire_unflushed(&c->wire)))
		will_write(c);
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || c->unread)
		read_all(c, (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0);
}

/* ---- as a carrier ------------------------------------------------------------------------------ */

/* After GOAWAY nghttp2 allows no request; and it ends the streams that the node has not seen. */
static bool has_room(const struct http2 *c)
{
	size_t max = nghttp2_session_get_remote_settings(c->session,
	    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return !c->retired && !c->broken && c->streams < (max < MAX_STREAMS ? max : MAX_STREAMS) &&
	    nghttp2_session_check_request_allowed(c->session);
}

static bool submit(struct http2 *c, struct upstream_call *call)
{
	nghttp2_data_provider body = { .read_callback = give_body };
	bool has_body = call->grpc || call->body.n > 0;
	struct buf *path = &call->head; /* free until the answer comes */
	nghttp2_nv nv[HTTP2_FIELDS];
	size_t n;

	n = http2_fields_write(c->ep, call, nv, path);
	if (!path->failed)
		call->stream = nghttp2_submit_request(c->session, NULL, nv, n, has_body ? &body : NULL,
		    call);
	buf_clear(path);
	return call->stream > 0;
}

static bool http2_send(struct endpoint *ep, struct upstream_call *call)
{
	struct http2 *c = ep->conns;

	while (c != NULL && !has_room(c))
		c = c->next;
	if (c == NULL)
		return false;
	if (!submit(c, call)) {
		call_failed(call, E_OVERLOADED);
		return true;
	}
	c->streams++;
	attach(c, call);
	call->reused = c->served;
	call_sent(call, c);
	will_write(c);
	return true;
}

static const nghttp2_settings_entry settings[] = {
	{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
	{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RESPONSE_MAX_HEAD },
};

static nghttp2_session *session_new(struct http2 *c)
{
	nghttp2_session_callbacks *cbs;
	nghttp2_session *s = NULL;

	if (nghttp2_session_callbacks_new(&cbs) != 0)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
	if (nghttp2_session_client_new(&s, cbs, c) == 0 &&
	    (nghttp2_submit_settings(s, NGHTTP2_FLAG_NONE, settings,
		 sizeof settings / sizeof *settings) != 0 ||
		nghttp2_session_set_local_window_size(s, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) != 0)) {
		nghttp2_session_del(s);
		s = NULL;
	}
	nghttp2_session_callbacks_del(cbs);
	return s;
}

static void http2_adopt(struct endpoint *ep, struct wire w)
{
	struct http2 *c = heap_zalloc(sizeof *c);

	if (c == NULL) {
		wire_close(&w);
		return;
	}
	c->wire = w;
	c->ep = ep;
	c->idle_since = c->read_at = loop_now(ep->u->loop);
	c->io = (struct loop_fd){ .fd = w.fd, .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.cb = io_cb };
	buf_init(&c->out, MAX_OUT);
	c->session = session_new(c);
	if (c->session == NULL || loop_add(ep->u->loop, &c->io) != OK) {
		nghttp2_session_del(c->session);
		wire_close(&c->wire);
		heap_free(c);
		return;
	}
	c->next = ep->conns;
	if (c->next != NULL)
		c->next->prev = c;
	ep->conns = c;
	endpoint_opened(ep);
	will_write(c);
}

/* A connection that has been silent since the call began, or as long as the node, may be dead. */
static bool is_silent(const struct http2 *c, const struct upstream_call *call)
{
	int64_t long_ago = loop_now(call->u->loop) - call->u->config.first_byte_timeout_us;
	int64_t node = c->ep->silent_since;

	return (c->read_at <= call->began && call->began <= long_ago) ||
	    (node != 0 && c->read_at <= node && node <= long_ago);
}

/* The stream is reset; no other call shall wait for a connection that is silent. */
static void http2_drop(struct upstream_call *call)
{
	struct http2 *c = call->conn;
	bool silent = is_silent(c, call);

	detach(c, call);
	nghttp2_session_set_stream_user_data(c->session, call->stream, NULL);
	nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
	if (silent)
		c->retired = true;
	will_write(c);
}

static void http2_sweep(struct endpoint *ep, int64_t before)
{
	size_t kept = 0;

	for (struct http2 *c = ep->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (++kept > ep->u->config.max_connections)
			c->retired = true;
		if (before == INT64_MAX || (c->streams == 0 && (c->retired || c->idle_since < before)))
			close_conn(c, E_UPSTREAM_FAILED);
	}
}

const struct carrier http2_carrier = {
	.send = http2_send,
	.adopt = http2_adopt,
	.drop = http2_drop,
	.sweep = http2_sweep,
};
