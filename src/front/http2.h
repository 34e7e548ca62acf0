/* HTTP/2 on one listener of one worker: the sockets, and nghttp2 sessions on them. Output is gathered
 * and written once an iteration; input is one read for each event. The requests and answers on the
 * streams are http2_stream.c's. One thread: the worker's. */
#ifndef FRONT_HTTP2_H
#define FRONT_HTTP2_H

#include <stdint.h>

#include "front/front.h"

struct handshakes;
struct http2;
struct crew;
struct linger_set;
struct loop;
struct peers;
struct stock;

struct http2_config {
	int fd;            /* listening; taken, also on failure */
	unsigned listener; /* ON_GRPC */
	const struct front_limits *limits; /* kept */
	struct loop *loop;
	struct crew *crew; /* of this listener and those of other workers; NULL: none */
	struct stock *stock;
	struct peers *peers;
	struct linger_set *linger;
	struct handshakes *handshakes;
};

enum err http2_new(const struct http2_config *c, struct http2 **out, struct fail *f);
bool http2_connected(const struct http2 *h); /* any client is */
/* Stops accepting and says GOAWAY; streams that are open are answered. */
void http2_drain(struct http2 *h);
void http2_free(struct http2 *h);
/* Once an iteration, before the loop waits: writes what was gathered. Returns how long the loop may
 * sleep, microseconds, or -1. */
int64_t http2_turn(struct http2 *h);

#endif
