/* The head of an HTTP/1.1 answer as bytes (RFC 9112, 4). Any thread. */
#ifndef FRONT_HTTP1_REPLY_H
#define FRONT_HTTP1_REPLY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct buf;
struct request;

/* What the answer says of the connection. */
enum http1_connection {
	CONNECTION_SILENT, /* it goes on, as is usual */
	CONNECTION_KEEP,   /* it goes on, as an HTTP/1.0 client asked for */
	CONNECTION_CLOSE,
	CONNECTION_ENDS    /* it closes, and that is how the client knows that a flow has ended (HTTP/1.0) */
};

/* Appends the head of r->reply, from the status line to the empty line. Framing is decided here: fields
 * of that name in the reply are left out, and so is one that holds what no field may. */
enum err http1_reply_head(const struct request *r, struct str date, enum http1_connection connection,
    struct buf *out);
/* Appends a whole answer, which closes, for an error of which there is no request. */
enum err http1_reply_error(enum err e, struct str date, struct buf *out);
/* What follows the head: nothing with HEAD, 204 and 304 (RFC 9112, 6.3). */
struct str http1_reply_body(const struct request *r);

#endif
