/* A listening socket in a loop: accepts, a few connections at a time, shares them with the listeners of other
 * workers, and pauses when there is no descriptor left. One thread: the worker's. */
#ifndef FRONT_LISTENER_H
#define FRONT_LISTENER_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/loop.h"

struct crew;

struct listener {
	struct loop *loop;
	struct loop_fd io;
	struct loop_timer again;
	struct crew *crew; /* NULL: shares with nobody */
	size_t seat;
	bool draining; /* what was accepted before the end may still arrive */
	/* A connection, non-blocking, which the callee takes; listener_left when it has closed it. */
	void (*accepted)(struct listener *l, int fd, const struct sockaddr_storage *peer);
};

/* Starts to listen on fd, which it takes, also on failure. */
enum err listener_open(struct listener *l, struct loop *loop, int fd, struct crew *crew,
    void (*accepted)(struct listener *l, int fd, const struct sockaddr_storage *peer));
/* Harmless when it is closed or was never opened. */
void listener_close(struct listener *l);
/* Closes it behind the connections that wait in its queue, which are accepted: closing them unread would be a
 * reset for clients whose request is in there. What other workers have accepted for it still arrives. */
void listener_drain(struct listener *l);
/* A connection that another worker has accepted; closed at once when this listener is, and does not drain. */
void listener_arrived(struct listener *l, int fd, const struct sockaddr_storage *peer);
void listener_left(struct listener *l);

#endif
