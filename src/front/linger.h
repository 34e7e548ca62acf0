/* Closing a connection whose client may still be sending: the kernel would answer what it sends with a
 * reset, which can destroy our last answer on its way. So the receiving side stays open for a little
 * while, unread bytes are thrown away, and the socket is closed when the client has closed or the time
 * is over (RFC 9112, 9.6). One thread: the worker's. */
#ifndef FRONT_LINGER_H
#define FRONT_LINGER_H

#include <stddef.h>

#include "front/deadline.h"

struct linger_fd;

struct linger_set {
	struct loop *loop;
	struct deadlines deadlines;
	struct linger_fd *all;
	size_t n;
};

void linger_init(struct linger_set *l, struct loop *loop);
/* Closes them all. */
void linger_release(struct linger_set *l);
/* Takes fd: sends FIN, reads on and closes. */
void linger_take(struct linger_set *l, int fd);

#endif
