/* The event loop of one worker thread: file descriptors (epoll), timers, an inbox for messages from
 * other threads, and hooks that run once an iteration. One thread runs a loop and owns all that is
 * registered in it; only loop_post and loop_stop may be called from elsewhere. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;

/* Embedded in what owns the descriptor. `events` are EPOLLIN, EPOLLOUT, EPOLLET ... After loop_del
 * the callback is never called again, also not for an event that was already fetched. */
struct loop_fd {
	int fd;
	uint32_t events;
	void (*cb)(struct loop_fd *fd, uint32_t events);
};

/* One-shot. Zero-initialise, set cb; `slot` is the loop's. */
struct loop_timer {
	void (*cb)(struct loop_timer *t);
	int64_t due; /* clock_mono, microseconds */
	size_t slot; /* position in the heap + 1; 0: not set */
};

/* A message to a loop's thread; embedded in what it carries. The loop owns it from loop_post until
 * cb is called, which may free it. */
struct loop_msg {
	struct loop_msg *next;
	void (*cb)(struct loop_msg *m);
};

/* Runs once an iteration, after the callbacks and before the loop waits; for work gathered during
 * the iteration. Returns the microseconds it allows the loop to sleep, or -1 for any. */
struct loop_hook {
	struct loop_hook *next;
	int64_t (*cb)(struct loop_hook *h);
};

enum err loop_new(struct loop **out);
void loop_free(struct loop *l);
/* Returns after loop_stop. */
void loop_run(struct loop *l);
/* Any thread, also a signal handler. */
void loop_stop(struct loop *l);

enum err loop_add(struct loop *l, struct loop_fd *fd);
enum err loop_mod(struct loop *l, struct loop_fd *fd, uint32_t events);
/* For a descriptor with EPOLLET that was left before it was read to the end, so that others get their turn:
 * it is told again what it is ready for. */
enum err loop_again(struct loop *l, struct loop_fd *fd);
void loop_del(struct loop *l, struct loop_fd *fd); /* does not close it; harmless when not added */

/* (Re)arms t to fire after `delay` microseconds. E_NOMEM. */
enum err loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay);
void loop_timer_clear(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_armed(const struct loop_timer *t)
{
	return t->slot != 0;
}

/* Any thread; lock-free. Messages of one sender arrive in order. After loop_run has returned
 * messages are still delivered by loop_drain. */
void loop_post(struct loop *l, struct loop_msg *m);
void loop_drain(struct loop *l);
void loop_hook_add(struct loop *l, struct loop_hook *h);
/* Not from within a hook; harmless when not added. */
void loop_hook_del(struct loop *l, struct loop_hook *h);

/* Microseconds, monotonic and wall, as of the start of this iteration: cheap. */
int64_t loop_now(const struct loop *l);
int64_t loop_wall(const struct loop *l);

#endif
