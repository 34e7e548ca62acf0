/* A listening socket on the first loop, whose connections go to all loops in turn. Unlike
 * SO_REUSEPORT, which spreads by hash, this keeps the threads evenly loaded with few connections,
 * so that the node is not what a benchmark measures. */
#ifndef NODE_LISTENER_H
#define NODE_LISTENER_H

#include "loop.h"

#include <stddef.h>

struct listener {
	struct watch watch;
	struct loop *loops;
	size_t nloops, next;
	void (*open)(struct loop *l, int fd);
};

/* Listens on ADDR:PORT (port 0: a free one), prints "listening NAME ADDR:PORT" on stdout and has
 * each accepted socket opened by one of the loops. Ends the process with a message on failure. */
void listener_init(struct listener *l, const char *name, const char *address, struct loop *loops,
                   size_t nloops, void (*open)(struct loop *l, int fd));

#endif
