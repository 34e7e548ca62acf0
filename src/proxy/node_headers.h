/* Every header field that a node sees (CONTRACT 8): who is calling, for which tenant, in which trace,
 * for how long; and the few fields of the caller's own that pass. And the way back: which fields of a
 * node's answer a caller sees. See docs/decisions/0016-what-nodes-see.md. Worker thread. */
#ifndef PROXY_NODE_HEADERS_H
#define PROXY_NODE_HEADERS_H

#include <stdbool.h>

#include "base/str.h"

struct relay;

/* The fields that the gateway makes, for either protocol. */
void node_headers_mint(struct relay *x);
/* The caller's that pass to an http node. */
void node_headers_pass(struct relay *x);
/* What gRPC asks for (gRPC over HTTP/2, "Request-Headers"). */
void node_headers_grpc(struct relay *x);
/* Whether a field of a node's answer goes back to the caller; the name is lower-case. */
bool node_header_is_safe(struct str name);

#endif
