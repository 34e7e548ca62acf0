/* The fields of an HTTP/2 exchange with a node: a call's, as nghttp2 wants them, and an answer's, into the
 * call. Worker thread. */
#ifndef UPSTREAM_HTTP2_FIELDS_H
#define UPSTREAM_HTTP2_FIELDS_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "upstream/call.h"

struct endpoint;

#define HTTP2_FIELDS (4 + CALL_MAX_FIELDS) /* of a request: 4 pseudo-header fields and the call's */

/* Fills nv, which has room for HTTP2_FIELDS; returns how many there are. They are views into the call, the
 * endpoint and `path`, which is written. */
size_t http2_fields_write(const struct endpoint *ep, const struct upstream_call *call, nghttp2_nv *nv,
    struct buf *path);
/* A field of the head or of the trailers; nghttp2 has refused what HTTP/2 forbids (RFC 9113, 8.2). False: it
 * makes the answer invalid. */
bool http2_field_read(struct upstream_call *call, struct str name, struct str v);

#endif
