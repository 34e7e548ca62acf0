#include "front/crew.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/heap.h"
#include "front/listener.h"

struct seat {
	struct listener *listener;
	atomic_bool open;
	atomic_size_t conns; /* those on their way to it included */
};

struct crew {
	atomic_size_t joined;
	size_t n;
	struct seat seats[];
};

struct passage {
	struct loop_msg msg;
	struct listener *to;
	int fd;
	struct sockaddr_storage peer;
};

enum err crew_new(size_t n, struct crew **out)
{
	struct crew *c = heap_zalloc(sizeof *c + n * sizeof *c->seats);

	if (c == NULL)
		return E_NOMEM;
	c->n = n;
	*out = c;
	return OK;
}

void crew_free(struct crew *c)
{
	heap_free(c);
}

size_t crew_join(struct crew *c, struct listener *l)
{
	size_t seat = atomic_fetch_add(&c->joined, 1);

	assert(seat < c->n);
	c->seats[seat].listener = l;
	atomic_store(&c->seats[seat].open, true);
	return seat;
}

void crew_close(struct crew *c, size_t seat)
{
	atomic_store(&c->seats[seat].open, false);
}

static size_t conns(const struct crew *c, size_t seat)
{
	return atomic_load_explicit(&c->seats[seat].conns, memory_order_relaxed);
}

static size_t fewest(const struct crew *c, size_t seat)
{
	size_t best = seat;

	for (size_t i = 0; i < c->n; i++)
		if (conns(c, i) < conns(c, best) && atomic_load(&c->seats[i].open))
			best = i;
	return best;
}

static void arrived_cb(struct loop_msg *m)
{
	struct passage *p = (struct passage *)m;

	listener_arrived(p->to, p->fd, &p->peer);
	heap_free(p);
}

bool crew_pass(struct crew *c, size_t seat, int fd, const struct sockaddr_storage *peer)
{
	size_t to = fewest(c, seat);
	struct passage *p = to != seat ? heap_alloc(sizeof *p) : NULL;

	if (p == NULL)
		to = seat;
	atomic_fetch_add_explicit(&c->seats[to].conns, 1, memory_order_relaxed);
	if (p == NULL)
		return false;
	*p = (struct passage){ .msg.cb = arrived_cb, .to = c->seats[to].listener, .fd = fd, .peer = *peer };
	loop_post(p->to->loop, &p->msg);
	return true;
}

void crew_left(struct crew *c, size_t seat)
{
	atomic_fetch_sub_explicit(&c->seats[seat].conns, 1, memory_order_relaxed);
}
