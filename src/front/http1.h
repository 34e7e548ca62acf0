/* HTTP/1.1 on one listener of one worker: connections in the worker's own epoll set, edge-triggered and
 * registered once; in the steady state a request is one recv and one sendmsg, and no allocation.
 * docs/decisions/0010-front-http1.md tells what is refused, kept open and waited for. One thread: the
 * worker's. */
#ifndef FRONT_HTTP1_H
#define FRONT_HTTP1_H

#include <stdint.h>

#include "front/front.h"

struct handshakes;
struct http1;
struct crew;
struct linger_set;
struct loop;
struct peers;
struct stock;

struct http1_config {
	int fd;            /* listening; taken, also on failure */
	unsigned listener; /* ON_HTTP or ON_ADMIN */
	const struct front_limits *limits; /* kept */
	struct loop *loop;
	struct crew *crew; /* of this listener and those of other workers; NULL: none */
	struct stock *stock;
	struct peers *peers;
	struct linger_set *linger;
	struct handshakes *handshakes;
};

enum err http1_new(const struct http1_config *c, struct http1 **out, struct fail *f);
bool http1_connected(const struct http1 *h); /* any client is */
/* Stops accepting, closes connections that have no request, the others after their answer. */
void http1_drain(struct http1 *h);
/* Closes all connections; requests that are still worked on end without an answer. */
void http1_free(struct http1 *h);
/* Once an iteration, before the loop waits: sends the answers that have come. Returns how long the loop may
 * sleep, microseconds, or -1. */
int64_t http1_turn(struct http1 *h);

#endif
