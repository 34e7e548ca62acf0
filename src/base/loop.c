#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"

#define BATCH 128

struct loop {
	int epfd;
	struct loop_fd wake; /* eventfd */
	_Atomic(struct loop_msg *) inbox; /* newest first */
	atomic_bool stop;
	struct loop_hook *hooks;
	struct loop_timer **heap; /* binary heap by due */
	size_t ntimers, cap;
	int64_t now, wall;
	bool coarse; /* the kernel has milliseconds only */
	struct epoll_event ev[BATCH]; /* of this iteration; loop_del blanks what it removes */
	int nev;
};

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the loop will wake anyway */
	while (write(l->wake.fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void wake_cb(struct loop_fd *fd, uint32_t events)
{
	uint64_t n;

	(void)events;
	while (read(fd->fd, &n, sizeof n) < 0 && errno == EINTR)
		;
}

static void tick(struct loop *l)
{
	l->now = clock_mono();
	l->wall = clock_wall();
}

enum err loop_new(struct loop **out)
{
	struct loop *l = heap_zalloc(sizeof *l);
	enum err e = E_INTERNAL;

	if (l == NULL)
		return E_NOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->wake = (struct loop_fd){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.events = EPOLLIN, .cb = wake_cb };
	tick(l);
	if (l->epfd >= 0 && l->wake.fd >= 0)
		e = loop_add(l, &l->wake);
	if (e != OK) {
		loop_free(l);
		return e;
	}
	*out = l;
	return OK;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	if (l->wake.fd >= 0)
		close(l->wake.fd);
	if (l->epfd >= 0)
		close(l->epfd);
	heap_free(l->heap);
	heap_free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
	wake(l);
}

int64_t loop_now(const struct loop *l)
{
	return l->now;
}

int64_t loop_wall(const struct loop *l)
{
	return l->wall;
}

/* ---- descriptors --------------------------------------------------------------------------- */

static enum err control(struct loop *l, int op, struct loop_fd *fd)
{
	struct epoll_event ev = { .events = fd->events, .data.ptr = fd };

	return epoll_ctl(l->epfd, op, fd->fd, &ev) == 0 ? OK : E_INTERNAL;
}

enum err loop_add(struct loop *l, struct loop_fd *fd)
{
	return control(l, EPOLL_CTL_ADD, fd);
}

enum err loop_mod(struct loop *l, struct loop_fd *fd, uint32_t events)
{
	if (fd->events == events)
		return OK;
	fd->events = events;
	return control(l, EPOLL_CTL_MOD, fd);
}

enum err loop_again(struct loop *l, struct loop_fd *fd)
{
	return control(l, EPOLL_CTL_MOD, fd);
}

void loop_del(struct loop *l, struct loop_fd *fd)
{
	if (fd->fd >= 0)
		(void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd->fd, NULL);
	for (int i = 0; i < l->nev; i++)
		if (l->ev[i].data.ptr == fd)
			l->ev[i].data.ptr = NULL;
}

/* ---- timers -------------------------------------------------------------------------------- */

static void place(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->slot = i + 1;
}

static void sift_up(struct loop *l, size_t i, struct loop_timer *t)
{
	for (; i > 0 && l->heap[(i - 1) / 2]->due > t->due; i = (i - 1) / 2)
		place(l, i, l->heap[(i - 1) / 2]);
	place(l, i, t);
}

static void sift_down(struct loop *l, size_t i, struct loop_timer *t)
{
	for (;;) {
		size_t c = 2 * i + 1;

		if (c + 1 < l->ntimers && l->heap[c + 1]->due < l->heap[c]->due)
			c++;
		if (c >= l->ntimers || l->heap[c]->due >= t->due)
			break;
		place(l, i, l->heap[c]);
		i = c;
	}
	place(l, i, t);
}

static void settle(struct loop *l, size_t i, struct loop_timer *t)
{
	if (i > 0 && l->heap[(i - 1) / 2]->due > t->due)
		sift_up(l, i, t);
	else
		sift_down(l, i, t);
}

enum err loop_timer_set(struct loop *l, struct loop_timer *t, int64_t delay)
{
	t->due = l->now + (delay > 0 ? delay : 0);
	if (t->slot != 0) {
		settle(l, t->slot - 1, t);
		return OK;
	}
	if (l->ntimers == l->cap) {
		size_t cap = l->cap > 0 ? l->cap * 2 : 64;
		void *p = heap_realloc(l->heap, cap * sizeof *l->heap);

		if (p == NULL)
			return E_NOMEM;
		l->heap = p;
		l->cap = cap;
	}
	sift_up(l, l->ntimers++, t);
	return OK;
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	size_t i = t->slot - 1;
	struct loop_timer *last;

	if (t->slot == 0)
		return;
	t->slot = 0;
	last = l->heap[--l->ntimers];
	if (last != t)
		settle(l, i, last);
}

static void fire_timers(struct loop *l)
{
	while (l->ntimers > 0 && l->heap[0]->due <= l->now) {
		struct loop_timer *t = l->heap[0];

		loop_timer_clear(l, t);
		t->cb(t);
	}
}

/* ---- inbox and hooks ----------------------------------------------------------------------- */

void loop_post(struct loop *l, struct loop_msg *m)
{
	struct loop_msg *head = atomic_load_explicit(&l->inbox, memory_order_relaxed);

	do
		m->next = head;
	while (!atomic_compare_exchange_weak_explicit(&l->inbox, &head, m, memory_order_release,
	    memory_order_relaxed));
	if (head == NULL) /* the reader takes all at once: only the first has to wake it */
		wake(l);
}

void loop_drain(struct loop *l)
{
	struct loop_msg *m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire);
	struct loop_msg *in_order = NULL;

	while (m != NULL) {
		struct loop_msg *next = m->next;

		m->next = in_order;
		in_order = m;
		m = next;
	}
	while (in_order != NULL) {
		struct loop_msg *next = in_order->next;

		in_order->cb(in_order);
		in_order = next;
	}
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
	h->next = l->hooks;
	l->hooks = h;
}

void loop_hook_del(struct loop *l, struct loop_hook *h)
{
	struct loop_hook **p = &l->hooks;

	while (*p != NULL && *p != h)
		p = &(*p)->next;
	if (*p != NULL)
		*p = h->next;
}

/* Microseconds to wait; -1: for ever. */
static int64_t patience(struct loop *l)
{
	int64_t us = l->ntimers > 0 ? l->heap[0]->due - l->now : -1;

	if (l->ntimers > 0 && us < 0)
		us = 0;
	for (struct loop_hook *h = l->hooks; h != NULL; h = h->next) {
		int64_t k = h->cb(h);

		if (k >= 0 && (us < 0 || k < us))
			us = k;
	}
	/* hooks may have posted, armed timers or stopped the loop */
	if (atomic_load_explicit(&l->inbox, memory_order_relaxed) != NULL || l->stop)
		return 0;
	if (l->ntimers > 0 && (us < 0 || l->heap[0]->due - l->now < us))
		us = l->heap[0]->due > l->now ? l->heap[0]->due - l->now : 0;
	return us;
}

/* To the microsecond: a wait that is rounded to milliseconds from when it begins would tell a stranger, by
 * the rest of one, when the work behind an answer that is held back was done (api/hold.h). Milliseconds,
 * rounded up for a timer to be due, where there is no epoll_pwait2: before Linux 5.11, or not let through by
 * a sandbox. */
static int wait_events(struct loop *l, int64_t us)
{
	struct timespec t = { .tv_sec = us / CLOCK_SEC, .tv_nsec = us % CLOCK_SEC * 1000 };
	int n = -1;

	if (!l->coarse) {
		n = epoll_pwait2(l->epfd, l->ev, BATCH, us < 0 ? NULL : &t, NULL);
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		l->coarse = true;
	}
	return epoll_wait(l->epfd, l->ev, BATCH,
	    us < 0 ? -1 : us / CLOCK_MS >= INT_MAX ? INT_MAX : (int)((us + CLOCK_MS - 1) / CLOCK_MS));
}

void loop_run(struct loop *l)
{
	while (!l->stop) {
		int n = wait_events(l, patience(l));

		tick(l);
		l->nev = n > 0 ? n : 0;
		for (int i = 0; i < l->nev; i++) {
			struct loop_fd *fd = l->ev[i].data.ptr;

			if (fd != NULL)
				fd->cb(fd, l->ev[i].events);
		}
		l->nev = 0;
		loop_drain(l);
		fire_timers(l);
	}
	l->stop = false;
}
