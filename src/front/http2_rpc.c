#include "front/http2_rpc.h"

#include "api/api.h"
#include "front/exchange.h"
#include "front/http2_conn.h"

struct http2_rpc {
	struct buf out; /* messages with their prefixes; x->sent bytes are gone */
	bool opened;    /* the head of the answer is on its way */
	bool begun;     /* the caller has sent a message */
};

/* ---- what comes -------------------------------------------------------------------------------- */

static void fail(struct exchange *x, enum err e)
{
	deadline_clear(&x->h2.deadline);
	step_done(exchange_fail(x, e));
}

/* The next message of what is there. False: it is not complete, or the call has failed. */
static bool next_message(struct exchange *x, struct str *message)
{
	struct str in = buf_str(&x->r.body);
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n;

	if (in.n < GRPC_PREFIX)
		return false;
	n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (p[0] != 0 || n > HTTP2_RPC_IN) {
		x->why = "the gRPC message has an unknown flag";
		fail(x, p[0] == 1 ? E_COMPRESSED : p[0] != 0 ? E_BAD_REQUEST : E_BODY_TOO_LARGE);
		return false;
	}
	*message = str_n(in.p + GRPC_PREFIX, n);
	return in.n - GRPC_PREFIX >= n;
}

/* A message that was begun has its time, and so has the first one. */
static void set_deadline(struct exchange *x)
{
	struct http2_rpc *rpc = x->h2.rpc;

	if (rpc->begun && x->r.body.n == 0)
		deadline_clear(&x->h2.deadline);
	else if (x->h2.deadline.in == NULL)
		deadline_set(&x->h2.deadline, &x->h2.conn->h->body);
}

void http2_rpc_data(struct exchange *x, struct str data)
{
	nghttp2_session *s = x->h2.conn->session;
	struct str message;

	if (buf_adds(&x->r.body, data) != OK) {
		(void)nghttp2_session_consume(s, x->h2.stream, data.n);
		fail(x, E_NOMEM);
		return;
	}
	while (!x->answered && next_message(x, &message)) {
		size_t n = GRPC_PREFIX + message.n;

		x->h2.rpc->begun = true;
		x->r.stream->message(&x->r, message);
		buf_consume(&x->r.body, n);
		(void)nghttp2_session_consume(s, x->h2.stream, n);
	}
	if (!x->answered)
		set_deadline(x);
}

void http2_rpc_end(struct exchange *x)
{
	deadline_clear(&x->h2.deadline);
	x->why = "the gRPC message is cut off";
	if (x->r.body.n > 0)
		fail(x, E_BAD_REQUEST);
	else
		x->r.stream->end(&x->r);
}

static void release(void *arg)
{
	struct http2_rpc *rpc = arg;

	buf_release(&rpc->out);
}

void http2_rpc_begin(struct exchange *x, bool end)
{
	struct http2_rpc *rpc = arena_zalloc(&x->r.arena, sizeof *rpc);

	x->complete = true; /* from now on a lost client is told to the operation */
	if (rpc == NULL) {
		fail(x, E_NOMEM);
		return;
	}
	buf_init(&rpc->out, HTTP2_RPC_OUT);
	if (request_on_finish(&x->r, release, rpc) != OK) {
		fail(x, E_NOMEM);
		return;
	}
	x->h2.rpc = rpc;
	api_run(x->stock->api, &x->r);
	if (!x->answered && x->h2.conn->h->draining)
		x->r.stream->drain(&x->r);
	if (!x->answered && end)
		http2_rpc_end(x);
	else if (!x->answered)
		set_deadline(x);
}

/* ---- what goes --------------------------------------------------------------------------------- */

static ssize_t data_cb(nghttp2_session *s, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct exchange *x = source->ptr;
	size_t left = x->h2.rpc->out.n - x->sent;
	nghttp2_nv nv[2];

	(void)buf;
	(void)arg;
	if (left == 0 && !x->answered)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (left > max)
		return (ssize_t)max;
	if (x->answered) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(s, id, nv, http2_status_fields(x, nv)) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)left;
}

void http2_rpc_write(struct exchange *x, size_t n, struct buf *out)
{
	struct buf *from = &x->h2.rpc->out;

	if (n > 0) /* no byte may be left before the status */
		(void)buf_add(out, from->p + x->sent, n);
	x->sent += n;
	if (x->sent == from->n) {
		buf_clear(from);
		x->sent = 0;
	}
}

static int open_answer(struct exchange *x)
{
	nghttp2_data_provider body = { .source.ptr = x, .read_callback = data_cb };
	nghttp2_nv nv[HTTP2_FIELDS];
	size_t n = http2_head_fields(x, nv);

	x->h2.rpc->opened = true;
	return nghttp2_submit_response(x->h2.conn->session, x->h2.stream, nv, n, &body);
}

/* More to send, for an answer that is open. Only one that waits can be resumed: others go on anyhow. */
static void go_on(struct exchange *x)
{
	(void)nghttp2_session_resume_data(x->h2.conn->session, x->h2.stream);
	http2_conn_dirty(x->h2.conn);
}

enum err http2_rpc_send(struct request *r, struct str message)
{
	struct exchange *x = exchange_of(r);
	struct http2_rpc *rpc = x->h2.rpc;
	unsigned char prefix[GRPC_PREFIX];

	if (x->h2.conn == NULL || x->h2.closed)
		return OK; /* the operation will be told */
	grpc_prefix(message.n, prefix);
	buf_consume(&rpc->out, x->sent);
	x->sent = 0;
	if (buf_reserve(&rpc->out, GRPC_PREFIX + message.n) != OK)
		return buf_err(&rpc->out);
	(void)buf_add(&rpc->out, prefix, GRPC_PREFIX);
	(void)buf_adds(&rpc->out, message);
	if (!rpc->opened && open_answer(x) != 0)
		return E_NOMEM;
	go_on(x);
	return OK;
}

int http2_rpc_finish(struct exchange *x)
{
	nghttp2_nv nv[HTTP2_FIELDS];
	size_t n;

	deadline_clear(&x->h2.deadline);
	if (x->h2.rpc->opened) {
		go_on(x);
		return 0;
	}
	n = http2_head_fields(x, nv);
	n += http2_status_fields(x, nv + n); /* trailers only */
	return nghttp2_submit_response(x->h2.conn->session, x->h2.stream, nv, n, NULL);
}

/* ---- the end ----------------------------------------------------------------------------------- */

void http2_rpc_closed(struct exchange *x)
{
	(void)nghttp2_session_consume_connection(x->h2.conn->session, x->r.body.n);
}

void http2_rpc_drain(struct http2_conn *c)
{
	struct exchange *next;

	for (struct exchange *x = c->exchanges; x != NULL; x = next) {
		next = x->next;
		if (x->h2.rpc != NULL && !x->answered && !x->h2.closed)
			x->r.stream->drain(&x->r);
	}
}
