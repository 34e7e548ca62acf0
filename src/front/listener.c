#include "front/listener.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "front/crew.h"

#define AT_ONCE 16
#define LAST_CALL 65536 /* past any queue of the kernel's: who comes faster than that is refused */
#define PAUSE (100 * CLOCK_MS)

static void again_cb(struct loop_timer *t)
{
	struct listener *l = (struct listener *)((char *)t - offsetof(struct listener, again));

	(void)loop_mod(l->loop, &l->io, EPOLLIN);
}

/* No descriptors left: epoll would report the waiting connection without end. */
static void pause_accepting(struct listener *l)
{
	if (loop_timer_set(l->loop, &l->again, PAUSE) == OK)
		(void)loop_mod(l->loop, &l->io, 0);
}

/* False: none waits, or none can be taken (errno). */
static bool accept_one(struct listener *l)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof peer;
	int s = accept4(l->io.fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (s < 0)
		return errno == ECONNABORTED || errno == EINTR;
	if (l->crew == NULL || !crew_pass(l->crew, l->seat, s, &peer))
		l->accepted(l, s, &peer);
	return true;
}

static void accept_cb(struct loop_fd *fd, uint32_t events)
{
	struct listener *l = (struct listener *)((char *)fd - offsetof(struct listener, io));

	(void)events;
	for (int i = 0; i < AT_ONCE; i++) {
		if (accept_one(l))
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_accepting(l);
		return;
	}
}

enum err listener_open(struct listener *l, struct loop *loop, int fd, struct crew *crew,
    void (*accepted)(struct listener *l, int fd, const struct sockaddr_storage *peer))
{
	*l = (struct listener){ .loop = loop, .crew = crew, .accepted = accepted, .again.cb = again_cb,
		.io = { .fd = fd, .events = EPOLLIN, .cb = accept_cb } };
	if (loop_add(loop, &l->io) != OK) {
		close(fd);
		l->io.fd = -1;
		return E_INTERNAL;
	}
	if (crew != NULL)
		l->seat = crew_join(crew, l);
	return OK;
}

static void stop(struct listener *l)
{
	if (l->loop == NULL || l->io.fd < 0)
		return;
	if (l->crew != NULL)
		crew_close(l->crew, l->seat);
	loop_timer_clear(l->loop, &l->again);
	loop_del(l->loop, &l->io);
	close(l->io.fd);
	l->io.fd = -1;
}

void listener_close(struct listener *l)
{
	l->draining = false;
	stop(l);
}

void listener_drain(struct listener *l)
{
	l->draining = true;
	if (l->loop == NULL || l->io.fd < 0)
		return;
	if (l->crew != NULL)
		crew_close(l->crew, l->seat);
	for (int i = 0; i < LAST_CALL && accept_one(l); i++)
		;
	stop(l);
}

void listener_arrived(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	if (l->io.fd >= 0 || l->draining) {
		l->accepted(l, fd, peer);
		return;
	}
	close(fd);
	listener_left(l);
}

void listener_left(struct listener *l)
{
	if (l->crew != NULL)
		crew_left(l->crew, l->seat);
}
