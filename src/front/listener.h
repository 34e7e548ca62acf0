/* A listening socket in a loop: accepts, a few connections at a time, and pauses when there is no
 * descriptor left. One thread: the worker's. */
#ifndef FRONT_LISTENER_H
#define FRONT_LISTENER_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/loop.h"

struct listener {
	struct loop *loop;
	struct loop_fd io;
	struct loop_timer again;
	/* A connection, non-blocking, which the callee takes. */
	void (*accepted)(struct listener *l, int fd, const struct sockaddr_storage *peer);
};

/* Starts to listen on fd, which it takes, also on failure. */
enum err listener_open(struct listener *l, struct loop *loop, int fd,
    void (*accepted)(struct listener *l, int fd, const struct sockaddr_storage *peer));
/* Harmless when it is closed or was never opened. */
void listener_close(struct listener *l);

#endif
