/* HTTP/1.1 to nodes: one exchange at a time on a keep-alive connection; one write and one read each
 * when all goes well. Worker thread. */
#ifndef UPSTREAM_HTTP1_H
#define UPSTREAM_HTTP1_H

#include "upstream/endpoint.h"

extern const struct carrier http1_carrier;

#endif
