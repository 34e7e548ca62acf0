/* gRPC calls of several messages each way, on one stream: takes the caller's messages out of the stream and
 * hands them on one by one, and keeps what is to be sent until the caller has room for it. For operations of
 * the gateway's own, with small messages; commands are unary and don't come here. Worker thread. */
#ifndef FRONT_HTTP2_RPC_H
#define FRONT_HTTP2_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct buf;
struct exchange;
struct http2_conn;
struct request;

#define HTTP2_RPC_IN (16u << 10) /* bytes of one message of the caller */
#define HTTP2_RPC_OUT (1u << 20) /* bytes that may wait for a caller that does not read */

/* The head is there and accepted. `end`: and that was all. */
void http2_rpc_begin(struct exchange *x, bool end);
void http2_rpc_data(struct exchange *x, struct str data);
/* The caller's side is complete. */
void http2_rpc_end(struct exchange *x);

/* request_send */
enum err http2_rpc_send(struct request *r, struct str message);
/* The answer has come: sends the status behind all messages. 0, or an error of nghttp2. */
int http2_rpc_finish(struct exchange *x);
/* Moves the next n bytes of messages to out. */
void http2_rpc_write(struct exchange *x, size_t n, struct buf *out);

/* The stream is closed, the connection is not: gives back its flow control. */
void http2_rpc_closed(struct exchange *x);
/* Has every such call of the connection end. */
void http2_rpc_drain(struct http2_conn *c);

#endif
