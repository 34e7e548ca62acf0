/* Answers on the streams of one connection: nghttp2's callbacks for what is sent. */
#include <assert.h>

#include "front/exchange.h"
#include "front/grpc.h"
#include "front/http2_conn.h"
#include "front/http2_rpc.h"
#include "request/flow.h"

/* ---- answers ------------------------------------------------------------------------------- */

static nghttp2_nv field(struct str name, struct str value, unsigned flags)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n, value.n,
		(uint8_t)flags };
}

#define STAYS (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)
/* Values that never come again would only push others out of the HPACK table. */
#define ONCE (STAYS | NGHTTP2_NV_FLAG_NO_INDEX)

/* RFC 9113, 8.2.2. */
static bool forbidden(struct str name)
{
	static const struct str names[] = { { "connection", 10 }, { "transfer-encoding", 17 },
		{ "keep-alive", 10 }, { "upgrade", 7 }, { "proxy-connection", 16 }, { "content-length", 14 } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static struct str decimal(struct request *r, uint64_t v)
{
	struct str s = arena_u64(&r->arena, v);

	return s.p != NULL ? s : STR("0");
}

size_t http2_head_fields(struct exchange *x, nghttp2_nv *nv)
{
	struct reply *reply = &x->r.reply;
	struct http2 *h = x->h2.conn->h;
	size_t n = 0;

	nv[n++] = field(STR(":status"), decimal(&x->r, (uint64_t)reply->status), STAYS);
	nv[n++] = field(STR("date"), date_at(&h->date, loop_wall(h->c.loop)), NGHTTP2_NV_FLAG_NO_COPY_NAME);
	if (reply->content_type.p == NULL && reply->grpc)
		reply->content_type = STR("application/grpc");
	if (reply->content_type.p != NULL)
		nv[n++] = field(STR("content-type"), reply->content_type, STAYS);
	for (size_t i = 0; i < reply->nh; i++) {
		bool once = str_eq(reply->h[i].name, STR("x-correlation-id")) ||
		    str_eq(reply->h[i].name, STR("traceparent"));

		if (!forbidden(reply->h[i].name))
			nv[n++] = field(reply->h[i].name, reply->h[i].value, once ? ONCE : STAYS);
	}
	return n;
}

size_t http2_status_fields(struct exchange *x, nghttp2_nv *nv)
{
	struct request *r = &x->r;
	struct str message = grpc_encode_message(r->reply.grpc_message, &r->arena);
	size_t n = 0;

	nv[n++] = field(STR("grpc-status"), decimal(r, (uint64_t)r->reply.grpc_status), STAYS);
	if (message.n > 0)
		nv[n++] = field(STR("grpc-message"), message, ONCE);
	return n;
}

/* Bytes of DATA that the reply has: the body, with its prefix for gRPC. */
static size_t reply_size(const struct exchange *x)
{
	return x->r.reply.body.n + (x->r.reply.grpc ? GRPC_PREFIX : 0);
}

static ssize_t data_cb(nghttp2_session *s, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct exchange *x = source->ptr;
	size_t left = reply_size(x) - x->sent;

	(void)buf;
	(void)arg;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (left > max)
		return (ssize_t)max;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (x->r.reply.grpc) {
		nghttp2_nv nv[2];
		size_t n = http2_status_fields(x, nv);

		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(s, id, nv, n) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)left;
}

/* A body that comes as a flow. */
static ssize_t flow_cb(nghttp2_session *s, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct exchange *x = source->ptr;
	const struct flow *f = x->r.reply.flow;
	size_t n = flow_held(f).n;

	(void)s;
	(void)id;
	(void)buf;
	(void)arg;
	if (n == 0 && f->err != OK)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM INTERNAL_ERROR */
	if (n == 0 && !f->ended)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > max)
		return (ssize_t)max;
	if (f->ended)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void more_cb(struct flow *f, void *arg)
{
	struct exchange *x = arg;

	(void)f;
	if (x->h2.conn == NULL || x->h2.closed)
		return;
	(void)nghttp2_session_resume_data(x->h2.conn->session, x->h2.stream);
	http2_conn_dirty(x->h2.conn);
}

static bool out_full(struct http2_conn *c)
{
	if (c->out.n - c->written >= HTTP2_OUT)
		c->full = true;
	return c->full;
}

static ssize_t send_cb(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *arg)
{
	struct http2_conn *c = arg;

	(void)s;
	(void)flags;
	if (out_full(c))
		return NGHTTP2_ERR_WOULDBLOCK;
	return buf_add(&c->out, p, n) == OK ? (ssize_t)n : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* A frame of the reply's body: straight from the reply to the output. */
static int send_data_cb(nghttp2_session *s, nghttp2_frame *frame, const uint8_t *head, size_t n,
    nghttp2_data_source *source, void *arg)
{
	struct http2_conn *c = arg;
	struct exchange *x = source->ptr;
	struct str body = x->r.reply.body;
	unsigned char prefix[GRPC_PREFIX];
	size_t from = x->sent, lead = x->r.reply.grpc ? GRPC_PREFIX : 0;

	(void)s;
	assert(frame->data.padlen == 0);
	if (out_full(c))
		return NGHTTP2_ERR_WOULDBLOCK;
	(void)buf_add(&c->out, head, 9);
	if (x->h2.rpc != NULL) {
		http2_rpc_write(x, n, &c->out);
		return buf_err(&c->out) == OK ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	x->sent += n;
	if (x->r.reply.flow != NULL) {
		(void)buf_add(&c->out, flow_held(x->r.reply.flow).p, n);
		flow_take(x->r.reply.flow, n);
		return buf_err(&c->out) == OK ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (from < lead) {
		size_t k = lead - from < n ? lead - from : n;

		grpc_prefix(body.n, prefix);
		(void)buf_add(&c->out, prefix + from, k);
		from += k;
		n -= k;
	}
	if (n > 0)
		(void)buf_add(&c->out, body.p + (from - lead), n);
	return buf_err(&c->out) == OK ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void http2_watch_sending(struct exchange *x)
{
	x->h2.progress = x->sent;
	deadline_set(&x->h2.deadline, &x->h2.conn->h->body);
}

static int submit_flow(struct exchange *x, nghttp2_nv *nv, size_t n)
{
	struct flow *f = x->r.reply.flow;
	nghttp2_data_provider body = { .source.ptr = x, .read_callback = flow_cb };

	if (f->length != FLOW_LENGTH_UNKNOWN)
		nv[n++] = field(STR("content-length"), decimal(&x->r, f->length), STAYS);
	f->more = more_cb;
	f->taker = x;
	http2_watch_sending(x);
	return nghttp2_submit_response(x->h2.conn->session, x->h2.stream, nv, n, &body);
}

int http2_submit(struct exchange *x)
{
	nghttp2_nv nv[HTTP2_FIELDS];
	struct request *r = &x->r;
	struct http2_conn *c = x->h2.conn;
	nghttp2_data_provider body = { .source.ptr = x, .read_callback = data_cb };
	bool bare = r->reply.status == 204 || r->reply.status == 304, head = str_eq(r->method, STR("HEAD"));
	size_t n = http2_head_fields(x, nv);

	if (r->reply.flow != NULL)
		return submit_flow(x, nv, n);
	if (r->reply.grpc && r->reply.body.n == 0 && r->reply.grpc_status != 0) {
		n += http2_status_fields(x, nv + n); /* trailers only */
		return nghttp2_submit_response(c->session, x->h2.stream, nv, n, NULL);
	}
	if (!r->reply.grpc && !bare)
		nv[n++] = field(STR("content-length"), decimal(r, r->reply.body.n), STAYS);
	if (bare || head || reply_size(x) == 0)
		return nghttp2_submit_response(c->session, x->h2.stream, nv, n, NULL);
	http2_watch_sending(x);
	return nghttp2_submit_response(c->session, x->h2.stream, nv, n, &body);
}

void http2_reply_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_callback(cb, send_cb);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data_cb);
}
