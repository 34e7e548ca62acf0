/* One call from upstream_send to its callback: its tries, its time limits, what came back. Carriers
 * report here; the end is only here. Calls are recycled with their memory. Worker thread. */
#ifndef UPSTREAM_CALL_H
#define UPSTREAM_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"
#include "upstream/grpc_frame.h"
#include "upstream/response.h"
#include "upstream/upstream.h"

struct endpoint;
struct flow;
struct shard;

#define CALL_MAX_HEAD 65536 /* bytes of request head */
#define CALL_MAX_FIELDS 64   /* of a request */
#define CALL_MAX_TRIES 2

enum call_state {
	CALL_FREE,    /* recycled */
	CALL_WAITING, /* for a connection of ep */
	CALL_SENT,    /* on a connection */
	CALL_ENDING   /* in its callback */
};

struct upstream_call {
	struct upstream *u;
	struct upstream_call *prev, *next; /* in use, waiting at ep, or recycled */
	struct upstream_call *all_prev, *all_next; /* of those in use */
	enum call_state state;
	upstream_cb *cb;
	void *arg;

	/* the request */
	const struct route_shard *route;
	struct shard *shard;
	struct buf lines;       /* method, path, then "name: value\r\n" for each field */
	size_t method_len, path_len;
	struct str body;
	struct flow *source, *sink;
	bool grpc, idempotent, admin, to_head, lift;
	int64_t deadline;

	/* this try */
	struct endpoint *ep;
	void *conn;             /* the carrier's */
	int32_t stream;         /* HTTP/2 */
	size_t sent;            /* bytes of body that HTTP/2 was given */
	bool probe, reached, head_seen;
	bool reused;            /* the connection has carried others before */
	bool answering;         /* a byte of an answer came */
	bool too_large;         /* the answer is more than max_response */
	bool out_of_time;       /* its own timer has ended the try */
	bool end_seen;          /* HTTP/2: END_STREAM */
	bool streaming;         /* the callback was called, the rest goes to the sink */
	bool calling, cancelled; /* in that callback; in which it was cancelled */
	unsigned tries;
	enum err why;           /* the try before failed */
	int64_t began;
	struct loop_timer timer;

	/* what came back */
	struct response resp;
	struct buf head;        /* its bytes, when they have to be kept */
	struct buf in;          /* body */
	struct grpc_frame frame;
	int grpc_status;        /* -1: not seen */
	struct buf grpc_message;
	struct upstream_response result;
};

/* NULL: out of memory. */
struct upstream_call *call_new(struct upstream *u);
void calls_free(struct upstream *u); /* the recycled ones */
enum err call_prepare(struct upstream_call *call, const struct upstream_request *req);
/* Ends it with `e` before its first try. */
void call_refuse(struct upstream_call *call, enum err e);
/* Chooses an endpoint and starts there; `avoid` is the one that failed. */
void call_try(struct upstream_call *call, const struct endpoint *avoid);

static inline struct str call_method(const struct upstream_call *call)
{
	return str_n(call->lines.p, call->method_len);
}
static inline struct str call_path(const struct upstream_call *call)
{
	return str_n(call->lines.p + call->method_len, call->path_len);
}
static inline struct str call_fields(const struct upstream_call *call)
{
	return str_skip(buf_str(&call->lines), call->method_len + call->path_len);
}

/* ---- carriers report -------------------------------------------------------------------------- */

/* The request is on its way on `conn`; from now on the first byte is due. */
void call_sent(struct upstream_call *call, void *conn);
/* The first byte of an answer is here: only the deadline counts any more. */
void call_answering(struct upstream_call *call);
/* The source's bytes move; `waiting`: for more of them. */
void call_uploading(struct upstream_call *call, bool waiting);
/* The sink's taker has had enough for now. */
void call_paused(struct upstream_call *call);
/* Bytes of body. E_LIMIT past max_response, E_BAD_UPSTREAM when they break the gRPC framing. */
enum err call_data(struct upstream_call *call, struct str data);
/* The answer is complete. The callback is called; the call is gone when this returns. */
void call_end(struct upstream_call *call);
/* This try failed, and the call is off its connection. Another one starts when that is allowed, else
 * the callback is called. */
void call_failed(struct upstream_call *call, enum err e);

#endif
