#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void loop_init(struct loop *l)
{
	*l = (struct loop){ .epfd = epoll_create1(EPOLL_CLOEXEC) };
	if (l->epfd < 0)
		die("epoll_create1");
}

void loop_add(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->events = events;
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, w->fd, &ev))
		die("epoll_ctl add");
}

void loop_want(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->events == events)
		return;
	w->events = events;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &ev))
		die("epoll_ctl mod");
}

void loop_close(struct loop *l, struct watch *w)
{
	(void)l;
	close(w->fd);
	w->fd = -1;
}

void timer_set(struct loop *l, struct timer *t, unsigned ms)
{
	struct timer **at = &l->timers;

	timer_cancel(l, t);
	t->due_ms = now_ms() + ms + 1;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

void timer_cancel(struct loop *l, struct timer *t)
{
	if (!t->due_ms)
		return;
	for (struct timer **at = &l->timers; *at; at = &(*at)->next) {
		if (*at != t)
			continue;
		*at = t->next;
		break;
	}
	t->due_ms = 0;
}

static int fire_due(struct loop *l)
{
	while (l->timers) {
		struct timer *t = l->timers;
		uint64_t now = now_ms();
		if (t->due_ms > now)
			return (int)(t->due_ms - now);
		l->timers = t->next;
		t->due_ms = 0;
		t->fire(t);
	}
	return -1;
}

void loop_run(struct loop *l)
{
	struct epoll_event ev[256];

	for (;;) {
		int n = epoll_wait(l->epfd, ev, sizeof ev / sizeof *ev, fire_due(l));
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		/* a watch occurs once in a batch, and only its own call or a timer frees it */
		for (int i = 0; i < n; i++) {
			struct watch *w = ev[i].data.ptr;
			w->ready(w, ev[i].events);
		}
	}
}
