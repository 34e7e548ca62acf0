/* URLs of nodes: scheme://host[:port][/path] and nothing else (RFC 3986 without userinfo, query and
 * fragment). Schemes: http, https (HTTP/1.1), grpc, grpcs (HTTP/2). Pure functions: any thread. */
#ifndef ROUTING_URL_H
#define ROUTING_URL_H

#include "base/str.h"
#include "routing/table.h"

/* Sets scheme, host, port and base of `out`, views into `url`. NULL when it is good, else what is
 * wrong with it, for a person. Without a port: 80, with TLS 443. */
const char *route_url_parse(struct str url, struct route_endpoint *out);

#endif
