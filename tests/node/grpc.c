#include "grpc.h"

#include "loop.h"
#include "service.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_SIZE   (64u << 10)
#define OUT_HIGH    (256u << 10) /* past it the session waits for the socket */
#define WINDOW      (1 << 20)
#define MAX_MESSAGE (16u << 20)

struct grpc_conn {
	struct watch watch;
	struct loop *loop;
	nghttp2_session *session;
	struct stream *streams;
	struct bytes out;
	size_t sent; /* of out */
	bool closing;
};

struct stream {
	struct grpc_conn *conn;
	struct stream *next, **link; /* among the connection's */
	struct timer timer;
	int32_t id;
	bool is_post, is_grpc;
	struct bytes path, metadata, body;
	struct grpc_answer answer;
	char prefix[5];
	size_t given; /* of prefix and message, to the session */
};

static void stream_free(struct stream *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	timer_cancel(s->conn->loop, &s->timer);
	grpc_answer_release(&s->answer);
	bytes_release(&s->path);
	bytes_release(&s->metadata);
	bytes_release(&s->body);
	free(s);
}

#define NV(n, v) \
	{ \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE \
	}

/* Percent-encodes what grpc-message can't carry as it is (gRPC over HTTP/2, "Percent-Encoded"). */
static void encode_text(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text && n + 4 < size; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 0x20 && c < 0x7f && c != '%')
			out[n++] = *text;
		else
			n += (size_t)sprintf(out + n, "%%%02X", c);
	}
	out[n] = 0;
}

static ssize_t give_message(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct stream *s = source->ptr;
	struct bytes *m = &s->answer.message;
	nghttp2_nv trailers[] = { NV("grpc-status", "0") };
	size_t n = 0, k;

	(void)user;
	if (s->answer.end == GRPC_END_RESET && s->given > sizeof s->prefix)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM INTERNAL_ERROR */
	if (s->given < sizeof s->prefix) {
		n = sizeof s->prefix - s->given;
		memcpy(buf, s->prefix + s->given, n); /* length is never below the smallest frame */
		s->given += n;
	}
	k = m->len - (s->given - sizeof s->prefix);
	if (s->answer.end == GRPC_END_RESET)
		k /= 2;
	if (k > length - n)
		k = length - n;
	memcpy(buf + n, m->data + (s->given - sizeof s->prefix), k);
	s->given += k;
	if (s->given == sizeof s->prefix + m->len) {
		*flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, trailers, 1);
	}
	return (ssize_t)(n + k);
}

static void answer_message(struct stream *s)
{
	nghttp2_nv head[] = { NV(":status", "200"), NV("content-type", "application/grpc") };
	nghttp2_data_provider body = { .source.ptr = s, .read_callback = give_message };
	size_t n = s->answer.message.len;

	s->prefix[1] = (char)(n >> 24);
	s->prefix[2] = (char)(n >> 16);
	s->prefix[3] = (char)(n >> 8);
	s->prefix[4] = (char)n;
	nghttp2_submit_response(s->conn->session, s->id, head, 2, &body);
}

static void answer_status(struct stream *s)
{
	char status[12], text[3 * sizeof s->answer.text];
	snprintf(status, sizeof status, "%d", s->answer.status);
	encode_text(s->answer.text, text, sizeof text);
	nghttp2_nv head[] = { NV(":status", "200"), NV("content-type", "application/grpc"),
		              NV("grpc-status", status), NV("grpc-message", text) };

	nghttp2_submit_response(s->conn->session, s->id, head, 4, NULL);
}

static void answer(struct stream *s)
{
	nghttp2_session *session = s->conn->session;

	switch (s->answer.end) {
	case GRPC_END_CLOSE:
		s->conn->closing = true;
		return;
	case GRPC_END_REFUSE:
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id,
		                          NGHTTP2_REFUSED_STREAM);
		return;
	case GRPC_END_GOAWAY:
		nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR, NULL, 0);
		break;
	case GRPC_END_ANSWER:
	case GRPC_END_RESET:
		break;
	}
	if (s->answer.status)
		answer_status(s);
	else
		answer_message(s);
}

static void refuse_http(struct stream *s, const char *status)
{
	nghttp2_nv head[] = { NV(":status", status) };

	nghttp2_submit_response(s->conn->session, s->id, head, 1, NULL);
}

static void fail(struct stream *s, int status, const char *text)
{
	s->answer.status = status;
	snprintf(s->answer.text, sizeof s->answer.text, "%s", text);
	answer(s);
}

static void run(struct stream *s)
{
	const unsigned char *p = (const unsigned char *)s->body.data;
	struct grpc_call call = { .path = { s->path.data, s->path.len },
		                  .metadata = { s->metadata.data, s->metadata.len } };
	size_t n = s->body.len < 5
	                   ? 0
	                   : (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];

	if (!s->is_post || !s->is_grpc) {
		refuse_http(s, s->is_post ? "415" : "405");
	} else if (s->body.len < 5 || s->body.len - 5 != n) {
		fail(s, 13, "the body is not one length-prefixed message");
	} else if (p[0]) {
		fail(s, GRPC_UNIMPLEMENTED, "messages can't be compressed here");
	} else {
		call.message = (struct slice){ s->body.data + 5, n };
		service_run(&call, &s->answer);
		if (s->answer.delay_ms)
			timer_set(s->conn->loop, &s->timer, s->answer.delay_ms);
		else
			answer(s);
	}
}

static void flush(struct grpc_conn *c);

static void fire(struct timer *t)
{
	struct stream *s = (struct stream *)((char *)t - offsetof(struct stream, timer));
	struct grpc_conn *c = s->conn;

	answer(s);
	flush(c);
}

/* ---- nghttp2's callbacks ----------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct stream *s;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->conn = user;
	s->id = frame->hd.stream_id;
	s->timer.fire = fire;
	s->next = s->conn->streams;
	s->link = &s->conn->streams;
	if (s->next)
		s->next->link = &s->next;
	s->conn->streams = s;
	return nghttp2_session_set_stream_user_data(session, s->id, s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct slice n = { (const char *)name, name_len }, v = { (const char *)value, value_len };

	(void)flags, (void)user;
	if (!s)
		return 0;
	if (slice_is(n, ":path"))
		bytes_add(&s->path, value, value_len);
	else if (slice_is(n, ":method"))
		s->is_post = slice_is(v, "POST");
	else if (slice_is(n, "content-type"))
		s->is_grpc = v.len >= 16 && !memcmp(v.data, "application/grpc", 16);
	/* nghttp2 lets no NUL through (RFC 9113 §8.2.1), so NUL can part them */
	bytes_add(&s->metadata, name, name_len);
	bytes_add(&s->metadata, "", 1);
	bytes_add(&s->metadata, value, value_len);
	bytes_add(&s->metadata, "", 1);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags, (void)user;
	if (!s)
		return 0;
	if (s->body.len + len > MAX_MESSAGE)
		return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	bytes_add(&s->body, data, len);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct stream *s;

	(void)user;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		run(s);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)error, (void)user;
	if (s)
		stream_free(s);
	return 0;
}

/* ---- the connection ---------------------------------------------------------------------------
 */

static void conn_free(struct grpc_conn *c)
{
	while (c->streams) /* nghttp2 reports no closed stream from here on */
		stream_free(c->streams);
	nghttp2_session_del(c->session);
	loop_close(c->loop, &c->watch);
	bytes_release(&c->out);
	free(c);
}

/* Moves what the session has to say to out; false when the session is broken. */
static bool collect(struct grpc_conn *c)
{
	const uint8_t *data;
	ssize_t n;

	while (c->out.len - c->sent < OUT_HIGH &&
	       (n = nghttp2_session_mem_send(c->session, &data)) != 0) {
		if (n < 0)
			return false;
		bytes_add(&c->out, data, (size_t)n);
	}
	return true;
}

/* Sends all that the session has; frees the connection when it is over. */
static void flush(struct grpc_conn *c)
{
	if (c->closing || !collect(c)) {
		conn_free(c);
		return;
	}
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
		if (c->sent == c->out.len) {
			c->sent = c->out.len = 0;
			if (!collect(c)) {
				conn_free(c);
				return;
			}
		}
	}
	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		conn_free(c);
	else
		loop_want(c->loop, &c->watch, EPOLLIN);
}

static void ready(struct watch *w, uint32_t events)
{
	struct grpc_conn *c = (struct grpc_conn *)w;
	static __thread uint8_t buf[READ_SIZE];
	ssize_t n;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = recv(w->fd, buf, sizeof buf, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ||
		    (n > 0 && nghttp2_session_mem_recv(c->session, buf, (size_t)n) < 0)) {
			conn_free(c);
			return;
		}
	}
	flush(c);
}

static void session_open(struct grpc_conn *c)
{
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
	};
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb))
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	if (nghttp2_session_server_new(&c->session, cb, c))
		abort();
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2);
	nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 16 * WINDOW);
}

void grpc_open(struct loop *l, int fd)
{
	struct grpc_conn *c = calloc(1, sizeof *c);

	if (!c)
		abort();
	c->watch = (struct watch){ .fd = fd, .ready = ready };
	c->loop = l;
	session_open(c);
	/* writable at once: the loop's thread then sends the settings. This thread is done with c.
	 */
	loop_add(l, &c->watch, EPOLLIN | EPOLLOUT);
}
