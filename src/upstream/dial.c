#include "upstream/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/loop.h"
#include "crypto/tls_client.h"
#include "crypto/tls_session.h"
#include "upstream/resolver.h"

struct dial {
	struct loop_fd io;
	struct loop_timer timer; /* the time limit; the end of an attempt that ended at once */
	struct loop *loop;
	struct resolver *resolver;
	struct resolver_wait wait;
	struct dial_to to;
	struct wire wire; /* with a session: shaking hands */
	struct addresses as;
	size_t next; /* address to try */
	enum err result; /* of what ended before dial_start returned */
	bool ended;
	dial_cb *cb;
	void *arg;
};

static void drop_socket(struct dial *d)
{
	if (d->io.fd < 0)
		return;
	loop_del(d->loop, &d->io);
	tls_session_free(d->wire.tls);
	d->wire.tls = NULL;
	close(d->io.fd);
	d->io.fd = -1;
}

void dial_cancel(struct dial *d)
{
	resolver_cancel(d->resolver, &d->wait);
	loop_timer_clear(d->loop, &d->timer);
	drop_socket(d);
	tls_client_unref(d->to.client);
	heap_free(d);
}

static void finish(struct dial *d, enum err e)
{
	struct wire w = { .fd = -1 };
	dial_cb *cb = d->cb;
	void *arg = d->arg;

	if (e == OK) {
		loop_del(d->loop, &d->io);
		w = d->wire;
		w.fd = d->io.fd;
		d->io.fd = -1;
	}
	dial_cancel(d);
	cb(arg, e, w);
}

/* Ends at the next turn of the loop, so that the callback never comes before dial_start returns. */
static void finish_soon(struct dial *d, enum err e)
{
	d->ended = true;
	d->result = e;
	(void)loop_timer_set(d->loop, &d->timer, 0); /* armed before: can't fail */
}

static socklen_t with_port(struct sockaddr_storage *ss, uint16_t port)
{
	if (ss->ss_family == AF_INET6) {
		((struct sockaddr_in6 *)ss)->sin6_port = htons(port);
		return sizeof(struct sockaddr_in6);
	}
	((struct sockaddr_in *)ss)->sin_port = htons(port);
	return sizeof(struct sockaddr_in);
}

static bool attempt(struct dial *d, struct sockaddr_storage *ss)
{
	socklen_t len = with_port(ss, d->to.port);
	int one = 1;

	d->io.fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->io.fd < 0)
		return false;
	setsockopt(d->io.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if ((connect(d->io.fd, (struct sockaddr *)ss, len) == 0 || errno == EINPROGRESS) &&
	    loop_add(d->loop, &d->io) == OK)
		return true;
	close(d->io.fd);
	d->io.fd = -1;
	return false;
}

/* Starts on the next address that can be started on; false: none is left. */
static bool next_address(struct dial *d)
{
	while (d->next < d->as.n)
		if (attempt(d, &d->as.a[d->next++]))
			return true;
	return false;
}

static bool connected(struct dial *d)
{
	socklen_t len = sizeof(int);
	int error = 0;

	return getsockopt(d->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

static void give_up_address(struct dial *d)
{
	drop_socket(d);
	if (!next_address(d))
		finish(d, E_UPSTREAM_FAILED);
}

static void say_why(const struct dial *d)
{
	char text[256];

	log_warn("TLS with a node failed", LOG_S("host", d->to.host), LOG_I("port", d->to.port),
	    LOG_Z("error", tls_session_error(d->wire.tls, text)));
}

static void shake_hands(struct dial *d)
{
	switch (tls_session_handshake(d->wire.tls)) {
	case TLS_DONE:
		finish(d, OK);
		break;
	case TLS_GOING:
		break;
	case TLS_FAILED:
		say_why(d);
		give_up_address(d);
		break;
	}
}

static void io_cb(struct loop_fd *fd, uint32_t events)
{
	struct dial *d = (struct dial *)((char *)fd - offsetof(struct dial, io));

	if (d->ended)
		return;
	if (d->wire.tls != NULL) {
		shake_hands(d);
		return;
	}
	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	if (!connected(d))
		give_up_address(d);
	else if (!d->to.tls)
		finish(d, OK);
	else if (d->to.client != NULL && tls_session_connect(d->to.client, d->to.buffers, fd->fd,
	    d->to.host.p, d->to.h2 ? TLS_HTTP2 : TLS_HTTP1, &d->wire.tls) == OK)
		shake_hands(d);
	else
		give_up_address(d);
}

static void timer_cb(struct loop_timer *t)
{
	struct dial *d = (struct dial *)((char *)t - offsetof(struct dial, timer));

	finish(d, d->ended ? d->result : E_UPSTREAM_TIMEOUT);
}

static void resolved_cb(struct resolver_wait *w, enum err e, const struct addresses *as)
{
	struct dial *d = (struct dial *)((char *)w - offsetof(struct dial, wait));

	if (e == OK)
		d->as = *as;
	if (e != OK || !next_address(d))
		finish_soon(d, E_UPSTREAM_FAILED);
}

enum err dial_start(struct loop *loop, struct resolver *r, const struct dial_to *to, dial_cb *cb,
    void *arg, struct dial **out)
{
	struct dial *d = heap_zalloc(sizeof *d);
	enum err e;

	if (d == NULL)
		return E_NOMEM;
	d->io = (struct loop_fd){ .fd = -1, .events = EPOLLIN | EPOLLOUT | EPOLLET, .cb = io_cb };
	d->timer.cb = timer_cb;
	d->wait.cb = resolved_cb;
	d->loop = loop;
	d->resolver = r;
	d->to = *to;
	d->to.client = tls_client_ref(to->client); /* which may be replaced before the node has answered */
	d->cb = cb;
	d->arg = arg;
	e = loop_timer_set(loop, &d->timer, to->timeout);
	if (e != OK) {
		tls_client_unref(d->to.client);
		heap_free(d);
		return e;
	}
	*out = d;
	resolver_lookup(r, to->host, &d->wait);
	return OK;
}
