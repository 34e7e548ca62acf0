/* One request on its way to a node and back: what all kinds of proxying have in common. Lives in the
 * request's arena and holds the routing snapshot that the request started with until the request
 * ends. Worker thread. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "request/request.h"
#include "routing/table.h"
#include "upstream/upstream.h"

struct proxy;

#define EXCHANGE_HEADERS 32

struct exchange {
	struct proxy *proxy;
	struct request *r;
	const struct route_shard *shard;
	bool grpc;        /* the shard's nodes speak gRPC */
	int64_t deadline; /* clock_mono */
	struct upstream_call *call;
	struct header h[EXCHANGE_HEADERS];
	size_t nh;
	/* The node's answer, when there is one: makes the reply. */
	STEP (*answer)(struct exchange *x, const struct upstream_response *resp);
	bool expects_version; /* command: expected_version was given */
};

/* Finds the shard of r->tenant and the time limit. NULL: f says why (tenant_unplaced ...). */
struct exchange *exchange_new(struct proxy *p, struct request *r, enum route_kind kind, struct fail *f);
/* A header for the node; both strings constant or in the arena. Past EXCHANGE_HEADERS, or without
 * memory, the exchange fails when it is sent. */
void exchange_header(struct exchange *x, struct str name, struct str value);
/* Sends it with x->h, which must be complete; x->answer or an error will reply. */
STEP exchange_send(struct exchange *x, struct upstream_request *q);

/* An answer of an http node as it is: status, content type, safe headers, body. */
STEP exchange_pass(struct exchange *x, const struct upstream_response *resp);
/* A gRPC status that is not OK, as the envelope. */
STEP exchange_fail_grpc(struct exchange *x, const struct upstream_response *resp);

#endif
