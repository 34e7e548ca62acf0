#include "front/http1.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "front/exchange.h"
#include "front/http1_conn.h"
#include "front/http1_reply.h"
#include "front/linger.h"
#include "front/peers.h"
#include "front/sock.h"

#define PARTING_TIME (20 * CLOCK_MS)
#define LEAVING_TIME (100 * CLOCK_MS)
/* A body that arrives steadily may take longer than the timeout. */
#define BODY_RATE 4096 /* bytes in a timeout's time */
#define READ_AHEAD 4096
#define FLOW_WRITES 8 /* of an answer that comes as a flow, before other connections get their turn */

/* ---- the socket ---------------------------------------------------------------------------- */

/* All reading of a connection: bytes, 0 at the end, WIRE_AGAIN or WIRE_ERROR. After a short read the edge has
 * yet to come, unless an end came already. */
static ssize_t conn_read(struct http1_conn *c, char *p, size_t n)
{
	ssize_t k = wire_read(&c->wire, p, n);

	if (k == WIRE_AGAIN || (k >= 0 && (size_t)k < n && !c->fin && !wire_ended(&c->wire)))
		c->readable = false;
	return k;
}

/* ---- the end of a connection --------------------------------------------------------------- */

static void give_back_in(struct http1_conn *c)
{
	struct http1 *h = c->h;

	if (c->in.p != NULL && h->nspare_in < HTTP1_SPARE_IN && c->in.cap <= 2 * HTTP1_READ) {
		buf_clear(&c->in);
		h->spare_in[h->nspare_in++] = c->in;
		buf_init(&c->in, c->in.max);
	} else {
		buf_release(&c->in);
	}
	c->in_at = 0;
}

static void recycle(struct http1_conn *c)
{
	struct http1 *h = c->h;

	if (h->nspare == HTTP1_SPARE_CONNS) {
		heap_free(c);
		return;
	}
	c->next = h->spare;
	h->spare = c;
	h->nspare++;
}

static void close_conn(struct http1_conn *c)
{
	struct http1 *h = c->h;
	bool linger = c->linger || (c->wire.tls != NULL && !c->fin); /* the client's close_notify is to come */
	int fd;

	http1_detach(c);
	deadline_clear(&c->deadline);
	handshake_cancel(&c->shake);
	loop_del(h->c.loop, &c->fd);
	fd = wire_bare(&c->wire);
	if (linger && !c->broken)
		linger_take(h->c.linger, fd);
	else
		close(fd);
	peers_leave(h->c.peers, &c->peer.any);
	listener_left(&h->listener);
	give_back_in(c);
	*(c->prev != NULL ? &c->prev->next : &h->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	recycle(c);
}

void http1_dirty(struct http1_conn *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->next_dirty = c->h->dirty;
	c->h->dirty = c;
}

/* Behind everything that may have ended c. One that is dirty is closed by http1_turn. */
static void settle(struct http1_conn *c)
{
	if (c->over && !c->is_dirty)
		close_conn(c);
}

static void break_off(struct http1_conn *c)
{
	c->broken = c->over = true;
}

/* ---- input --------------------------------------------------------------------------------- */

/* Puts what has not been taken where it can stay. */
static void keep_rest(struct http1_conn *c)
{
	struct http1 *h = c->h;

	if (h->n == 0) {
		give_back_in(c);
	} else if (c->in.p != NULL) {
		c->in_at = (size_t)(h->p - c->in.p);
	} else {
		if (h->nspare_in > 0) {
			size_t max = c->in.max;

			c->in = h->spare_in[--h->nspare_in];
			c->in.max = max;
		}
		if (buf_add(&c->in, h->p, h->n) != OK)
			break_off(c);
		h->p = c->in.p;
	}
}

static void show_rest(struct http1_conn *c)
{
	c->h->p = c->in.p != NULL ? c->in.p + c->in_at : c->h->scratch;
	c->h->n = c->in.p != NULL ? c->in.n - c->in_at : 0;
}

/* Room behind what is there already. */
static bool make_room(struct http1_conn *c)
{
	keep_rest(c);
	if (c->over)
		return false;
	if (c->in_at > 0) {
		buf_consume(&c->in, c->in_at);
		c->in_at = 0;
	}
	if (buf_reserve(&c->in, READ_AHEAD) != OK)
		break_off(c);
	return !c->over;
}

bool http1_fetch(struct http1_conn *c)
{
	struct http1 *h = c->h;
	bool behind = h->n > 0;
	ssize_t k;

	if (!c->readable || c->eof || c->over || (behind && !make_room(c)))
		return false;
	if (behind)
		k = conn_read(c, c->in.p + c->in.n, c->in.cap - c->in.n);
	else
		k = conn_read(c, h->scratch, sizeof h->scratch);
	if (k == WIRE_ERROR)
		break_off(c);
	c->eof |= k == 0;
	if (k > 0 && behind) {
		c->in.n += (size_t)k;
	} else if (k > 0) {
		give_back_in(c);
		h->p = h->scratch;
		h->n = (size_t)k;
		return true;
	}
	if (behind)
		show_rest(c);
	return k > 0;
}

/* ---- output -------------------------------------------------------------------------------- */

bool http1_write(struct http1_conn *c, struct str first, struct str second)
{
	struct iovec iov[2] = { { (char *)first.p, first.n }, { (char *)second.p, second.n } };
	size_t of_first;
	ssize_t k;

	k = wire_writev(&c->wire, iov, second.n > 0 ? 2 : 1);
	if (k == WIRE_ERROR)
		break_off(c);
	if (k == (ssize_t)(first.n + second.n) && !wire_unflushed(&c->wire))
		return true;
	c->writable = false;
	k = k > 0 ? k : 0;
	of_first = (size_t)k < first.n ? (size_t)k : first.n;
	c->out[0] = str_skip(first, of_first);
	c->out[1] = str_skip(second, (size_t)k - of_first);
	return false;
}

bool http1_write_flow(struct http1_conn *c, struct flow *f)
{
	struct iovec iov[2];
	int n;

	for (int writes = 0; (n = flow_writer_next(&c->writer, f, iov)) > 0; writes++) {
		ssize_t k;

		if (writes == FLOW_WRITES) { /* taking of f may fill it again: others, too, get their turn */
			http1_dirty(c);
			return false;
		}
		k = wire_writev(&c->wire, iov, n);

		if (k == WIRE_ERROR)
			break_off(c);
		if (k < 0) {
			c->writable = false;
			return false;
		}
		flow_writer_wrote(&c->writer, f, (size_t)k);
	}
	if (!wire_flush(&c->wire))
		break_off(c);
	if (wire_unflushed(&c->wire))
		c->writable = false;
	return c->writable && !c->over && flow_writer_done(&c->writer, f);
}

/* ---- events -------------------------------------------------------------------------------- */

static void drive(struct http1_conn *c)
{
	if (!c->over) {
		show_rest(c);
		c->driven = true;
		http1_drive(c);
		c->driven = false;
		if (!c->over)
			keep_rest(c);
	}
	settle(c);
}

static void conn_cb(struct loop_fd *fd, uint32_t events)
{
	struct http1_conn *c = (struct http1_conn *)fd;

	if (c->over)
		return;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		break_off(c);
	c->writable |= (events & EPOLLOUT) != 0;
	if (handshake_going(&c->shake) && !c->over) {
		c->fin |= (events & EPOLLRDHUP) != 0;
		handshake_event(&c->shake);
		return;
	}
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP)) != 0;
	if ((events & EPOLLRDHUP) != 0 && !c->fin) {
		c->fin = true;
		if (c->state == HTTP1_WAIT && !c->x->answered)
			deadline_set(&c->deadline, &c->h->parting);
	}
	drive(c);
}

int64_t http1_turn(struct http1 *h)
{
	struct http1_conn *c = h->dirty;

	h->dirty = NULL;
	while (c != NULL) {
		struct http1_conn *next = c->next_dirty;

		c->is_dirty = false;
		drive(c);
		c = next;
	}
	return h->dirty != NULL ? 0 : -1;
}

/* ---- time ---------------------------------------------------------------------------------- */

static struct http1_conn *late(struct deadline *d)
{
	return (struct http1_conn *)((char *)d - offsetof(struct http1_conn, deadline));
}

static void idle_cb(struct deadline *d)
{
	late(d)->over = true;
	settle(late(d));
}

static void tell_late(struct http1_conn *c)
{
	show_rest(c);
	http1_late(c);
	drive(c);
}

static void head_late_cb(struct deadline *d)
{
	tell_late(late(d));
}

static void body_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->paused || c->taken >= c->progress + BODY_RATE) {
		c->progress = c->taken;
		deadline_set(d, &c->h->body);
		return;
	}
	tell_late(c);
}

/* A client that reads steadily may take longer than the timeout. */
static void send_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);
	uint64_t acked = sock_acked(c->fd.fd);

	if (acked != c->progress) {
		c->progress = acked;
		deadline_set(d, &c->h->send);
		return;
	}
	break_off(c);
	settle(c);
}

static void parting_cb(struct deadline *d)
{
	http1_probe(late(d));
	settle(late(d));
}

/* ---- connections --------------------------------------------------------------------------- */

static struct http1_conn *new_conn(struct http1 *h)
{
	struct http1_conn *c = h->spare;

	if (c == NULL)
		return heap_zalloc(sizeof *c);
	h->spare = c->next;
	h->nspare--;
	memset(c, 0, sizeof *c);
	return c;
}

/* Too many connections: says so at once, and waits for nothing; not for a handshake either. */
static void shed(struct http1 *h, int fd)
{
	if (handshakes_wanted(h->c.handshakes)) {
		close(fd);
		return;
	}
	buf_clear(&h->out);
	if (http1_reply_error(E_OVERLOADED, date_at(&h->date, loop_wall(h->c.loop)), &h->out) == OK)
		(void)!send(fd, h->out.p, h->out.n, MSG_NOSIGNAL);
	linger_take(h->c.linger, fd);
}

static void shaken_cb(struct handshake *s, bool ok)
{
	struct http1_conn *c = (struct http1_conn *)((char *)s - offsetof(struct http1_conn, shake));

	if (ok)
		c->readable = true; /* behind the client's last message there may be a request already */
	else
		break_off(c);
	if (ok && c->h->draining)
		deadline_set(&c->deadline, &c->h->leaving);
	http1_dirty(c);
}

/* False when it does not even begin. */
static bool secure(struct http1_conn *c)
{
	struct handshakes *l = c->h->c.handshakes;

	return !handshakes_wanted(l) ||
	    handshake_begin(l, &c->shake, &c->wire, TLS_HTTP1, shaken_cb) == OK;
}

static void accepted_cb(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	struct http1 *h = (struct http1 *)((char *)l - offsetof(struct http1, listener));
	struct http1_conn *c;

	if (peers_enter(h->c.peers, (const struct sockaddr *)peer) != OK) {
		listener_left(l);
		shed(h, fd);
		return;
	}
	c = new_conn(h);
	if (c == NULL) {
		listener_left(l);
		peers_leave(h->c.peers, (const struct sockaddr *)peer);
		close(fd);
		return;
	}
	c->h = h;
	c->writable = true;
	c->wire.fd = fd;
	c->fd = (struct loop_fd){ .fd = fd, .cb = conn_cb,
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	memcpy(&c->peer, peer, sizeof c->peer);
	buf_init(&c->in, h->c.limits->headers + 2 * HTTP1_READ);
	c->next = h->conns;
	if (h->conns != NULL)
		h->conns->prev = c;
	h->conns = c;
	if (loop_add(h->c.loop, &c->fd) != OK || !secure(c)) {
		break_off(c);
		close_conn(c);
		return;
	}
	deadline_set(&c->deadline, h->draining && !handshake_going(&c->shake) ? &h->leaving : &h->head);
}

/* ---- the listener -------------------------------------------------------------------------- */

enum err http1_new(const struct http1_config *cfg, struct http1 **out, struct fail *f)
{
	const struct front_limits *lim = cfg->limits;
	struct http1 *h = heap_zalloc(sizeof *h);
	struct loop *l = cfg->loop;

	if (h == NULL) {
		close(cfg->fd);
		return E_NOMEM;
	}
	h->c = *cfg;
	buf_init(&h->out, 4u << 20);
	deadlines_init(&h->head, l, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->idle, l, lim->idle_timeout_us, idle_cb);
	deadlines_init(&h->body, l, lim->body_timeout_us, body_late_cb);
	deadlines_init(&h->send, l, lim->body_timeout_us, send_late_cb);
	deadlines_init(&h->parting, l, PARTING_TIME, parting_cb);
	deadlines_init(&h->leaving, l, LEAVING_TIME, idle_cb);
	if (listener_open(&h->listener, l, cfg->fd, cfg->crew, accepted_cb) != OK) {
		http1_free(h);
		return fail_set(f, E_INTERNAL, "the HTTP/1.1 listener does not start");
	}
	*out = h;
	return OK;
}

bool http1_connected(const struct http1 *h)
{
	return h->conns != NULL;
}

/* A client that is busy on its connection has the next request on its way: it is answered, and told that it
 * was the last one. So is one that still shakes hands, for which it has the time that it always has. */
void http1_drain(struct http1 *h)
{
	h->draining = true;
	listener_drain(&h->listener);
	for (struct http1_conn *c = h->conns; c != NULL; c = c->next)
		if (c->state == HTTP1_HEAD && c->x == NULL && c->in.p == NULL && !handshake_going(&c->shake))
			deadline_set(&c->deadline, &h->leaving);
}

void http1_free(struct http1 *h)
{
	if (h == NULL)
		return;
	listener_close(&h->listener);
	while (h->conns != NULL) {
		break_off(h->conns);
		close_conn(h->conns);
	}
	deadlines_release(&h->head);
	deadlines_release(&h->idle);
	deadlines_release(&h->body);
	deadlines_release(&h->send);
	deadlines_release(&h->parting);
	deadlines_release(&h->leaving);
	while (h->nspare_in > 0)
		buf_release(&h->spare_in[--h->nspare_in]);
	while (h->spare != NULL) {
		struct http1_conn *c = h->spare;

		h->spare = c->next;
		heap_free(c);
	}
	buf_release(&h->out);
	heap_free(h);
}
