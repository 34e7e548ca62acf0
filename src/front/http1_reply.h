/* A reply as libmicrohttpd's response, or as plain bytes for where libmicrohttpd would not take one:
 * while a header or a body is still arriving. One thread: the worker's. */
#ifndef FRONT_HTTP1_REPLY_H
#define FRONT_HTTP1_REPLY_H

#include <stdbool.h>

#include "base/err.h"

struct MHD_Connection;
struct request;

/* Hands r->reply to libmicrohttpd; its body must stay as it is until the request has ended. False when
 * libmicrohttpd has no memory. */
bool http1_reply_queue(struct MHD_Connection *mhd, struct request *r, bool close);
/* Writes r->reply whole to the socket, with `connection: close`. What does not fit into the socket's
 * buffer is lost; the caller closes the connection. */
void http1_reply_raw(int fd, struct request *r);
/* The same for an error of which there is no request. */
void http1_reply_raw_error(int fd, enum err e);

#endif
