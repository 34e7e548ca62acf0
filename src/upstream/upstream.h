/* Calls to nodes: keep-alive HTTP/1.1 connections and multiplexed HTTP/2 ones, pooled by endpoint. Each
 * worker owns one `struct upstream`; only its thread calls, and callbacks come on it. Answers of nodes
 * are hostile bytes: everything irregular ends the call with E_BAD_UPSTREAM and the connection.
 *
 * A connection may be dialled or, later, accepted (tunnels): what sends requests does not care. */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "request/header.h"
#include "routing/table.h"

struct fleet;
struct flow;
struct loop;
struct tls_client;
struct upstream;
struct upstream_call;

struct upstream_config {
	int64_t connect_timeout_us, first_byte_timeout_us, total_timeout_us, idle_timeout_us;
	size_t max_connections;  /* to an endpoint, of this worker */
	size_t max_response;     /* bytes of body that are buffered */
	unsigned retry_percent;  /* budget: retries as a share of requests; 0: none */
	struct fleet *fleet;     /* shared with the other workers, outlives them; NULL: one of its own */
};

struct upstream_request {
	const struct route_shard *shard; /* the caller keeps the table referenced until the callback */
	struct str method, path;         /* path with query, behind the endpoint's base */
	const struct header *headers;    /* lower-case; without host, framing and connection fields */
	size_t nheaders;
	struct str body;                 /* valid until the callback */
	/* http endpoints: the body as it comes, instead of `body`. Not sent again once a byte of it was taken. When
	 * it fails, the call fails with its error. It must outlive the call. */
	struct flow *source;
	/* http endpoints: where the body of an answer past FLOW_AFTER goes, uninitialised; NULL: all of it is
	 * gathered. It must outlive the call. */
	struct flow *sink;
	bool grpc;        /* frame body as one gRPC message; shard endpoints must be grpc(s) */
	bool idempotent;  /* may be sent again after it may have reached a node */
	bool admin;       /* to the endpoint's admin URL */
	int64_t deadline; /* clock_mono, microseconds; 0: total_timeout */
	bool lift;        /* a body that streams may pass the deadline as long as bytes move */
};

struct upstream_response {
	enum err err;      /* OK, E_SHARD_UNAVAILABLE, E_UPSTREAM_FAILED, E_UPSTREAM_TIMEOUT, E_BAD_UPSTREAM,
	                    * E_LIMIT (the answer is past max_response), E_OVERLOADED, E_NOMEM,
	                    * E_HEADERS_TOO_LARGE, E_BAD_REQUEST (gRPC to a shard of http nodes) */
	int status;        /* HTTP status; for grpc that of the HTTP/2 response */
	int grpc_status;   /* grpc: from the trailers (or trailers-only); 2 (UNKNOWN) when absent */
	struct str grpc_message; /* percent-decoded */
	const struct header *headers; /* lower-case; hop-by-hop and framing ones removed */
	size_t nheaders;
	struct str body;   /* grpc: the message without its frame */
	bool streams;      /* the body goes to the sink, whose end is the call's; until then it can be cancelled */
	struct str endpoint; /* url of the endpoint that answered; STR_NONE when none did */
	bool reached;      /* the request may have reached a node */
	int64_t us;        /* time of the last try */
	unsigned tries;
};

/* Called once, unless the call was cancelled. All views are valid until it returns; to keep the body,
 * upstream_body_take moves its memory out. */
typedef void upstream_cb(void *arg, const struct upstream_response *resp);

enum err upstream_new(const struct upstream_config *c, struct loop *loop, struct upstream **out);
/* Holds from now on, for calls and connections that are under way, too; but max_response and fleet stay. */
void upstream_configure(struct upstream *u, const struct upstream_config *c);
/* TLS for the connections to nodes that begin from now on (takes the reference). Without one, none with TLS
 * can be made. */
void upstream_set_tls_take(struct upstream *u, struct tls_client *t);
/* The table in force (takes the reference): what is known of shards that it does not name is forgotten in
 * time. Without one, nothing is. */
void upstream_set_routes_take(struct upstream *u, struct route_table *t);
/* Cancels all calls, closes all connections. */
void upstream_free(struct upstream *u);

/* Starts a call; *call (may be NULL) is for upstream_cancel and is set before the callback can come,
 * which may be before this returns; it is of no use once the callback has come.
 * All strings in `req` but shard are copied or consumed before it returns, except body. */
void upstream_send(struct upstream *u, const struct upstream_request *req, upstream_cb *cb,
    void *arg, struct upstream_call **call);
/* No callback any more; the stream is reset or the connection closed. */
void upstream_cancel(struct upstream_call *call);
/* In the callback only: swaps the response body's memory with that of `into`, whose content is
 * lost; resp->body stays a view of it. */
void upstream_body_take(const struct upstream_response *resp, struct buf *into);

/* Control lane: the gateway_upstream_* families of all workers. */
void upstream_write_metrics(struct upstream *const *workers, size_t n, struct buf *out);

#endif
