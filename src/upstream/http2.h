/* HTTP/2 to nodes, by prior knowledge: many calls on one connection, gRPC and plain. What is to be
 * written is gathered and written once an iteration of the loop. Worker thread. */
#ifndef UPSTREAM_HTTP2_H
#define UPSTREAM_HTTP2_H

#include "upstream/endpoint.h"

struct upstream;

extern const struct carrier http2_carrier;

/* The loop's hook: writes what the sessions have gathered. */
void http2_write_all(struct upstream *u);

#endif
