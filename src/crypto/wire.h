/* A connected byte stream: a non-blocking socket, and TLS on it when there is a session. Who connected it,
 * and from which side, does not matter here. One thread: the worker's. */
#ifndef CRYPTO_WIRE_H
#define CRYPTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct tls_session;

struct wire {
	int fd; /* -1: none */
	struct tls_session *tls; /* owned; NULL: plaintext */
};

enum { WIRE_AGAIN = -1, WIRE_ERROR = -2 };

/* Bytes read, 0 at the end of the stream, WIRE_AGAIN or WIRE_ERROR. A short count means that the
 * socket was empty, so that edge-triggered epoll will tell of more (unless wire_ended). With TLS only a
 * close_notify is an end; a connection that is cut off is an error. */
ssize_t wire_read(struct wire *w, void *p, size_t n);
/* TLS: the end, or an error, was read behind data: read again. */
bool wire_ended(const struct wire *w);
/* TLS: holds bytes of a full read's rest, or an end, that the socket will not tell of again. */
bool wire_holds(const struct wire *w);
/* Bytes taken, WIRE_AGAIN or WIRE_ERROR. A short count means that the socket is full. TLS may leave some of
 * what it took to wire_flush. */
ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n);
/* When the socket can be written: sends what waits. False: it is broken. */
bool wire_flush(struct wire *w);
bool wire_unflushed(const struct wire *w);
/* Ends TLS, with close_notify if the socket takes it, and returns the socket, which is now the caller's. */
int wire_bare(struct wire *w);
/* wire_bare and close. */
void wire_close(struct wire *w);

#endif
