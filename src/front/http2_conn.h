/* What http2.c (sockets), http2_stream.c (streams) and http2_reply.c (answers) share: one listener, one
 * connection. */
#ifndef FRONT_HTTP2_CONN_H
#define FRONT_HTTP2_CONN_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/loop.h"
#include "front/date.h"
#include "crypto/wire.h"
#include "front/deadline.h"
#include "front/handshake.h"
#include "front/http2.h"
#include "front/http2_noise.h"
#include "front/listener.h"

struct exchange;

#define HTTP2_STREAMS 128             /* at once, and of those that were reset but still cost us */
#define HTTP2_STREAM_WINDOW (256 << 10)
#define HTTP2_CONN_WINDOW (1 << 20)
#define HTTP2_BODIES (4u << 20)       /* unanswered bodies of one connection before it must wait */
#define HTTP2_READ (64u << 10)
#define HTTP2_TARGET 8192
#define HTTP2_BODY_RATE 4096          /* bytes in timeouts.body: a body that comes steadily may go on */
#define HTTP2_REST_MAX (64u << 10)    /* of an unwanted body: may still come, and is thrown away */
#define HTTP2_QUEUE 1024              /* frames, DATA aside, that wait while HTTP2_OUT do */
#define HTTP2_OUT (256u << 10)        /* output gathered before nghttp2 must wait for the socket */

struct http2 {
	struct http2_config c;
	struct listener listener;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct http2_conn *conns;
	struct http2_conn *dirty; /* have output to make or to write */
	bool draining;
	struct deadlines head, idle, quiet, body, send, farewell, rest;
	struct date date;
	char in[HTTP2_READ];
};

struct http2_conn {
	struct http2 *h;
	struct loop_fd fd;
	struct wire wire;
	struct handshake shake;
	nghttp2_session *session;
	struct buf out;
	size_t written;      /* bytes of out that are gone */
	struct sockaddr_storage peer;
	struct exchange *exchanges; /* on open streams, and those that still work for closed ones */
	size_t streams;      /* open, with a request on them */
	size_t working;      /* exchanges that api_start knows and that are not answered */
	size_t held;         /* body bytes that exchanges hold */
	size_t owed;         /* flow control not yet given back */
	struct http2_noise noise;
	uint64_t acked;      /* when the send deadline was last set */
	bool greeted;        /* the client's SETTINGS have come */
	bool heard;          /* something of the client, since the quiet deadline was set */
	bool pinged;         /* it was asked whether it is there, and has said nothing since */
	bool unread;         /* TLS still holds input */
	bool full;           /* nghttp2 had more than HTTP2_OUT */
	bool is_dirty;
	bool broken;         /* the socket is: closed without a word */
	bool failed;         /* the client's HTTP/2 is: closed after what nghttp2 says of it */
	struct deadline deadline; /* head, idle, quiet or farewell */
	struct deadline sending;
	struct http2_conn *next, *prev, *next_dirty;
};

/* http2.c */
void http2_conn_dirty(struct http2_conn *c);
/* No stream is open any more: starts the idle time. */
void http2_conn_idle(struct http2_conn *c);

/* http2_stream.c */
enum err http2_stream_callbacks(nghttp2_session_callbacks **out);
/* The connection is closed: lets go of its exchanges. */
void http2_stream_drop_all(struct http2_conn *c);
/* A body has not come in time, or an answer has not gone. */
void http2_stream_late_cb(struct deadline *d);
/* The rest of a body that nobody wants has not come either. */
void http2_stream_rest_cb(struct deadline *d);

/* http2_reply.c */
void http2_reply_callbacks(nghttp2_session_callbacks *cb);
/* Sends x->r.reply. 0, or an error of nghttp2. */
int http2_submit(struct exchange *x);
/* Starts the time in which a client must have read something of the answer. */
void http2_watch_sending(struct exchange *x);
#define HTTP2_FIELDS (REPLY_HEADERS + 5)
/* The head of the answer, and the status behind it, as views of the request: how many. */
size_t http2_head_fields(struct exchange *x, nghttp2_nv *nv);
size_t http2_status_fields(struct exchange *x, nghttp2_nv *nv);

#endif
