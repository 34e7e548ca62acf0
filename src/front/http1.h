/* HTTP/1.1 on one listener of one worker, by libmicrohttpd in external epoll mode.
 *
 * libmicrohttpd parses and writes; this decides. What it hides is found again by check.h before
 * api_start sees a request. A request that waits for its answer is at first only parked: it stays in
 * libmicrohttpd's hands, which asks again whenever it runs, and costs no system call. Asked too
 * often, it is suspended, and its socket watched for a client that leaves.
 * docs/decisions/0010-front-http1.md tells the rest. One thread: the worker's. */
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
/* Once an iteration, before the loop waits: lets libmicrohttpd run if there is anything to do.
 * Returns how long the loop may sleep, microseconds, or -1. */
int64_t http1_turn(struct http1 *h);

#endif
