/* HTTP/1.1 on one listener of one worker: reads requests, hands them to api_start and api_run, writes what
 * comes back. One read and one write a request when neither side is slow; no system call but those,
 * because a connection stays in the epoll set as it was put there, edge-triggered, and no allocation.
 *
 * What a request may look like is in head.h and check.h; why this is not a library's is in
 * docs/decisions/0010-front-http1.md. One thread: the worker's. */
#ifndef FRONT_HTTP1_H
#define FRONT_HTTP1_H

#include <stdint.h>

#include "front/front.h"

struct http1;
struct linger_set;
struct loop;
struct peers;
struct stock;

struct http1_config {
	int fd;            /* listening; taken, also on failure */
	unsigned listener; /* ON_HTTP or ON_ADMIN */
	const struct front_limits *limits; /* kept */
	struct loop *loop;
	struct stock *stock;
	struct peers *peers;
	struct linger_set *linger;
};

enum err http1_new(const struct http1_config *c, struct http1 **out, struct fail *f);
/* Stops accepting, closes connections that have no request, the others after their answer. */
void http1_drain(struct http1 *h);
void http1_free(struct http1 *h);
/* Once an iteration, before the loop waits: writes what was answered in it. Returns how long the loop
 * may sleep, microseconds, or -1. */
int64_t http1_turn(struct http1 *h);

#endif
