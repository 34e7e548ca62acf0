#include "front/linger.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"

#define LINGER_TIME (2 * CLOCK_SEC)
#define LINGER_MAX 1024 /* at once; past it a reset has to do */
#define LINGER_BYTES (4u << 20)

struct linger_fd {
	struct loop_fd fd;
	struct deadline deadline;
	struct linger_set *of;
	struct linger_fd *next, *prev;
	size_t bytes;
};

static void end(struct linger_fd *x)
{
	struct linger_set *l = x->of;

	loop_del(l->loop, &x->fd);
	deadline_clear(&x->deadline);
	close(x->fd.fd);
	*(x->prev != NULL ? &x->prev->next : &l->all) = x->next;
	if (x->next != NULL)
		x->next->prev = x->prev;
	l->n--;
	heap_free(x);
}

static void expired_cb(struct deadline *d)
{
	end((struct linger_fd *)((char *)d - offsetof(struct linger_fd, deadline)));
}

static void read_cb(struct loop_fd *fd, uint32_t events)
{
	struct linger_fd *x = (struct linger_fd *)fd;
	char waste[16384];
	ssize_t n = recv(fd->fd, waste, sizeof waste, MSG_DONTWAIT);

	x->bytes += n > 0 ? (size_t)n : 0;
	if (n == 0 || (n < 0 && (events & (EPOLLHUP | EPOLLERR)) != 0) || x->bytes > LINGER_BYTES)
		end(x);
}

void linger_init(struct linger_set *l, struct loop *loop)
{
	*l = (struct linger_set){ .loop = loop };
	deadlines_init(&l->deadlines, loop, LINGER_TIME, expired_cb);
}

void linger_release(struct linger_set *l)
{
	while (l->all != NULL)
		end(l->all);
	deadlines_release(&l->deadlines);
}

void linger_take(struct linger_set *l, int fd)
{
	struct linger_fd *x = l->n < LINGER_MAX ? heap_zalloc(sizeof *x) : NULL;

	shutdown(fd, SHUT_WR);
	if (x == NULL) {
		close(fd);
		return;
	}
	x->fd = (struct loop_fd){ .fd = fd, .events = EPOLLIN | EPOLLRDHUP, .cb = read_cb };
	x->of = l;
	x->next = l->all;
	if (l->all != NULL)
		l->all->prev = x;
	l->all = x;
	l->n++;
	deadline_set(&x->deadline, &l->deadlines);
	if (loop_add(l->loop, &x->fd) != OK)
		end(x);
}
