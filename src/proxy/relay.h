/* One request on its way to a node and back: what all kinds of proxying have in common. Lives in the
 * request's arena and holds the routing snapshot that the request started with until the request
 * ends. Worker thread. */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "request/request.h"
#include "routing/table.h"
#include "upstream/upstream.h"

struct proxy;

#define RELAY_HEADERS 32

struct relay {
	struct proxy *proxy;
	struct request *r;
	const struct route_shard *shard;
	bool grpc;        /* the shard's nodes speak gRPC */
	int64_t deadline; /* clock_mono */
	struct upstream_call *call;
	struct flow *sink; /* of a large answer */
	struct header h[RELAY_HEADERS];
	size_t nh;
	/* The node's answer, when there is one: makes the reply. */
	STEP (*answer)(struct relay *x, const struct upstream_response *resp);
	bool expects_version; /* command: expected_version was given */
};

/* Finds the shard of r->tenant and the time limit. NULL: f says why (tenant_unplaced ...). */
struct relay *relay_new(struct proxy *p, struct request *r, enum route_kind kind, struct fail *f);
/* A header for the node; both strings constant or in the arena. Past RELAY_HEADERS, or without
 * memory, the relay fails when it is sent. */
void relay_header(struct relay *x, struct str name, struct str value);
/* Sends it with x->h, which must be complete; x->answer or an error will reply. */
STEP relay_send(struct relay *x, struct upstream_request *q);

/* An answer of an http node as it is: status, content type, safe headers, body. */
STEP relay_pass(struct relay *x, const struct upstream_response *resp);
/* A gRPC status that is not OK, as the envelope. */
STEP relay_fail_grpc(struct relay *x, const struct upstream_response *resp);

#endif
