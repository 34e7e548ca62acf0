/* A connected byte stream to a node: a non-blocking socket, later with TLS on it. Who connected it,
 * and from which side, does not matter here. Worker thread. */
#ifndef UPSTREAM_WIRE_H
#define UPSTREAM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct wire {
	int fd; /* -1: none */
};

enum { WIRE_AGAIN = -1, WIRE_ERROR = -2 };

/* Bytes read, 0 at the end of the stream, WIRE_AGAIN or WIRE_ERROR. A short count means that the
 * socket was empty, so that edge-triggered epoll will tell of more. */
ssize_t wire_read(struct wire *w, void *p, size_t n);
/* Bytes written, WIRE_AGAIN or WIRE_ERROR. */
ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n);
void wire_close(struct wire *w);

#endif
