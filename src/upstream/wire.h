/* A connected byte stream to a node: a non-blocking socket, and TLS on it when there is a session. Who
 * connected it, and from which side, does not matter here. Worker thread. */
#ifndef UPSTREAM_WIRE_H
#define UPSTREAM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_wire;

struct wire {
	int fd; /* -1: none */
	struct tls_wire *tls; /* owned; handshake done. NULL: plaintext */
	bool ended;     /* TLS: the end was read behind data: read again */
	bool unflushed; /* TLS: records wait for the socket */
};

enum { WIRE_AGAIN = -1, WIRE_ERROR = -2 };

/* Bytes read, 0 at the end of the stream, WIRE_AGAIN or WIRE_ERROR. A short count means that the
 * socket was empty, so that edge-triggered epoll will tell of more (unless w->ended). With TLS only a
 * close_notify is an end; a connection that is cut off is an error. */
ssize_t wire_read(struct wire *w, void *p, size_t n);
/* Bytes taken, WIRE_AGAIN or WIRE_ERROR. TLS takes all, and may leave records to wire_flush. */
ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n);
/* When the socket can be written: sends records that wait. False: it is broken. */
bool wire_flush(struct wire *w);
/* TLS: says that we end, if the socket takes it. */
void wire_close(struct wire *w);

#endif
