/* One epoll loop on one thread: watches of file descriptors and timers. A watch and a timer belong
 * to one loop and are touched by its thread only; the one exception is that another thread may add
 * a fresh watch (that is how the accepting loop hands connections round). */
#ifndef NODE_LOOP_H
#define NODE_LOOP_H

#include <stdint.h>

struct watch {
	int fd;
	uint32_t events;
	void (*ready)(struct watch *w, uint32_t events); /* may free the watch */
};

struct timer {
	struct timer *next;
	uint64_t due_ms;               /* 0: not set */
	void (*fire)(struct timer *t); /* may free the timer */
};

struct loop {
	int epfd;
	struct timer *timers; /* soonest first */
};

void loop_init(struct loop *l);
/* Runs for ever. */
void loop_run(struct loop *l);
void loop_add(struct loop *l, struct watch *w, uint32_t events);
/* Changes what is waited for; no system call when nothing changes. */
void loop_want(struct loop *l, struct watch *w, uint32_t events);
/* Closes the descriptor, which also ends the watch. */
void loop_close(struct loop *l, struct watch *w);
void timer_set(struct loop *l, struct timer *t, unsigned ms);
void timer_cancel(struct loop *l, struct timer *t);

#endif
