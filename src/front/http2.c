#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "front/http2_conn.h"
#include "front/http2_rpc.h"
#include "front/linger.h"
#include "front/peers.h"
#include "front/sock.h"

#define FAREWELL (100 * CLOCK_MS) /* longer than most ways to a client and back */
#define REST_TIME (100 * CLOCK_MS)
#define READS 8 /* of what TLS holds, before other connections get their turn */
#define OUT_MAX (1u << 20) /* hard: HTTP2_OUT and the largest frame behind it stay far below */

/* ---- the end of a connection --------------------------------------------------------------- */

static void free_conn(struct http2_conn *c)
{
	struct http2 *h = c->h;

	deadline_clear(&c->deadline);
	deadline_clear(&c->sending);
	handshake_cancel(&c->shake);
	http2_stream_drop_all(c);
	nghttp2_session_del(c->session);
	loop_del(h->c.loop, &c->fd);
	peers_leave(h->c.peers, (struct sockaddr *)&c->peer);
	listener_left(&h->listener);
	buf_release(&c->out);
	*(c->prev != NULL ? &c->prev->next : &h->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	for (struct http2_conn **d = &h->dirty; c->is_dirty && *d != NULL; d = &(*d)->next_dirty)
		if (*d == c) {
			*d = c->next_dirty;
			break;
		}
	heap_free(c);
}

static void close_conn(struct http2_conn *c)
{
	struct http2 *h = c->h;
	int fd = wire_bare(&c->wire);
	bool broken = c->broken;

	free_conn(c);
	if (broken)
		close(fd);
	else
		linger_take(h->c.linger, fd);
}

void http2_conn_dirty(struct http2_conn *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->next_dirty = c->h->dirty;
	c->h->dirty = c;
}

static void leave(struct http2_conn *c)
{
	(void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR, NULL, 0);
	http2_conn_dirty(c);
}

void http2_conn_idle(struct http2_conn *c)
{
	if (!c->h->draining)
		deadline_set(&c->deadline, &c->h->idle);
}

/* ---- time ---------------------------------------------------------------------------------- */

static struct http2_conn *of_deadline(struct deadline *d)
{
	return (struct http2_conn *)((char *)d - offsetof(struct http2_conn, deadline));
}

/* The preface, or a header block that was begun, has not come in time. */
static void head_late_cb(struct deadline *d)
{
	struct http2_conn *c = of_deadline(d);

	c->broken = !c->greeted;
	(void)nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
	http2_conn_dirty(c);
}

static void idle_cb(struct deadline *d)
{
	leave(of_deadline(d));
}

/* Streams are open, and nothing has come for the idle time: a client that is there answers a PING. */
static void quiet_cb(struct deadline *d)
{
	struct http2_conn *c = of_deadline(d);

	if (!c->heard && c->pinged) {
		c->broken = true;
		close_conn(c);
		return;
	}
	if (!c->heard)
		c->pinged = nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL) == 0;
	c->heard = false;
	deadline_set(d, &c->h->quiet);
	http2_conn_dirty(c);
}

static void send_late_cb(struct deadline *d)
{
	struct http2_conn *c = (struct http2_conn *)((char *)d - offsetof(struct http2_conn, sending));
	uint64_t acked = sock_acked(c->fd.fd);

	if (acked != c->acked) {
		c->acked = acked;
		deadline_set(d, &c->h->send);
		return;
	}
	c->broken = true;
	close_conn(c);
}

/* ---- input --------------------------------------------------------------------------------- */

/* What nghttp2 could not go on with; it has said GOAWAY itself for all that is a connection error. */
static void fail_conn(struct http2_conn *c, int rv)
{
	c->failed = true;
	(void)nghttp2_session_terminate_session(c->session,
	    rv == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
}

static void take_input(struct http2_conn *c)
{
	ssize_t rv, n = 0;

	/* what it makes us say it must read: refusals (RST_STREAM) are no streams that would count */
	if (nghttp2_session_get_outbound_queue_size(c->session) <= HTTP2_QUEUE)
		n = wire_read(&c->wire, c->h->in, sizeof c->h->in);
	if (n == WIRE_AGAIN)
		return;
	if (n <= 0) { /* closed, also if only its side: it could send no WINDOW_UPDATE any more */
		c->broken = true;
		return;
	}
	c->heard = true;
	c->pinged = false;
	rv = nghttp2_session_mem_recv(c->session, (const uint8_t *)c->h->in, (size_t)n);
	if (rv < 0)
		fail_conn(c, (int)rv);
}

/* TLS may have read more from the socket than was taken of it: epoll does not tell of that. A client that is
 * always ahead of us has to wait for the others. */
static void take_all_input(struct http2_conn *c)
{
	int reads = 0;

	do
		take_input(c);
	while (wire_holds(&c->wire) && !c->broken && !c->failed && ++reads < READS);
	c->unread = reads == READS;
}

/* ---- output -------------------------------------------------------------------------------- */

/* What is gone makes room for more, once no more than that has to be moved: a client that always leaves
 * something unread must not make the buffer reach its end. */
static void compact(struct http2_conn *c)
{
	if (c->written < c->out.n - c->written)
		return;
	buf_consume(&c->out, c->written);
	c->written = 0;
}

/* Writes what was gathered. False when the socket is broken. */
static bool write_out(struct http2_conn *c)
{
	if (!wire_flush(&c->wire))
		return false;
	while (c->written < c->out.n) {
		struct iovec iov = { c->out.p + c->written, c->out.n - c->written };
		ssize_t n = wire_writev(&c->wire, &iov, 1);

		if (n < 0) {
			compact(c);
			return n == WIRE_AGAIN;
		}
		c->written += (size_t)n;
	}
	if (c->out.cap > HTTP2_READ)
		buf_release(&c->out);
	buf_clear(&c->out);
	c->out.max = OUT_MAX;
	c->written = 0;
	return true;
}

static bool unwritten(const struct http2_conn *c)
{
	return c->out.n > 0 || wire_unflushed(&c->wire);
}

static void watch_output(struct http2_conn *c)
{
	bool full = unwritten(c);

	(void)loop_mod(c->h->c.loop, &c->fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (!full) {
		deadline_clear(&c->sending);
	} else if (c->sending.in == NULL) {
		c->acked = sock_acked(c->fd.fd);
		deadline_set(&c->sending, &c->h->send);
	}
}

static bool over(const struct http2_conn *c)
{
	return c->broken || c->failed || (!unwritten(c) && !nghttp2_session_want_read(c->session) &&
	    !nghttp2_session_want_write(c->session));
}

static void flush(struct http2_conn *c)
{
	if (handshake_going(&c->shake)) {
		if (c->broken)
			close_conn(c);
		else
			watch_output(c);
		return;
	}
	if (c->unread)
		take_all_input(c);
	/* more than once only for replies that do not fit into c->out: four of those, then the others */
	for (int i = 0; i < 4 && !c->broken; i++) {
		c->full = false;
		c->broken = nghttp2_session_send(c->session) != 0 || !write_out(c);
		if (!c->full || unwritten(c))
			break;
	}
	if (over(c)) {
		close_conn(c);
		return;
	}
	watch_output(c);
	if (c->unread || (c->full && !unwritten(c)))
		http2_conn_dirty(c);
}

int64_t http2_turn(struct http2 *h)
{
	struct http2_conn *c = h->dirty;

	h->dirty = NULL;
	while (c != NULL) {
		struct http2_conn *next = c->next_dirty;

		c->is_dirty = false;
		flush(c);
		c = next;
	}
	return h->dirty != NULL ? 0 : -1;
}

/* ---- events ----------------------------------------------------------------------------- */

static void conn_cb(struct loop_fd *fd, uint32_t events)
{
	struct http2_conn *c = (struct http2_conn *)((char *)fd - offsetof(struct http2_conn, fd));

	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		c->broken = true;
	else if (handshake_going(&c->shake))
		handshake_event(&c->shake);
	else if ((events & EPOLLIN) != 0)
		take_all_input(c);
	http2_conn_dirty(c);
}

/* ---- connections --------------------------------------------------------------------------- */

static enum err greet(struct http2_conn *c)
{
	const struct http2 *h = c->h;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)h->c.limits->headers },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0 },
	};

	if (nghttp2_session_server_new2(&c->session, h->callbacks, c, h->option) != 0)
		return E_NOMEM;
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
	    sizeof settings / sizeof *settings) != 0 ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
	    HTTP2_CONN_WINDOW) != 0)
		return E_NOMEM;
	return OK;
}

/* One that still shakes hands hears it behind that. */
static void say_farewell(struct http2_conn *c)
{
	if (handshake_going(&c->shake))
		return;
	http2_rpc_drain(c);
	(void)nghttp2_submit_shutdown_notice(c->session);
	deadline_set(&c->deadline, &c->h->farewell);
	http2_conn_dirty(c);
}

static void shaken_cb(struct handshake *s, bool ok)
{
	struct http2_conn *c = (struct http2_conn *)((char *)s - offsetof(struct http2_conn, shake));

	c->broken = !ok;
	if (ok && c->h->draining)
		say_farewell(c);
	if (ok)
		take_all_input(c); /* the preface may have come behind the client's last message */
	http2_conn_dirty(c);
}

/* False when it does not even begin. */
static bool secure(struct http2_conn *c)
{
	struct handshakes *l = c->h->c.handshakes;

	return !handshakes_wanted(l) ||
	    handshake_begin(l, &c->shake, &c->wire, TLS_HTTP2, shaken_cb) == OK;
}

static void accepted_cb(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	struct http2 *h = (struct http2 *)((char *)l - offsetof(struct http2, listener));
	struct http2_conn *c = heap_zalloc(sizeof *c);

	if (c == NULL || peers_enter(h->c.peers, (const struct sockaddr *)peer) != OK) {
		heap_free(c);
		close(fd);
		listener_left(l);
		return;
	}
	c->h = h;
	c->peer = *peer;
	c->wire.fd = fd;
	c->fd = (struct loop_fd){ .fd = fd, .events = EPOLLIN, .cb = conn_cb };
	buf_init(&c->out, OUT_MAX);
	c->next = h->conns;
	if (h->conns != NULL)
		h->conns->prev = c;
	h->conns = c;
	if (greet(c) != OK || loop_add(h->c.loop, &c->fd) != OK || !secure(c)) {
		c->broken = true;
		close_conn(c);
		return;
	}
	deadline_set(&c->deadline, &h->head);
	http2_conn_dirty(c);
	if (h->draining) /* it was on its way */
		say_farewell(c);
}

/* ---- the listener -------------------------------------------------------------------------- */

static enum err make_options(struct http2 *h)
{
	enum err e = http2_stream_callbacks(&h->callbacks);

	if (e != OK || nghttp2_option_new(&h->option) != 0)
		return E_NOMEM;
	nghttp2_option_set_stream_reset_rate_limit(h->option, 1000, 33);
	nghttp2_option_set_max_continuations(h->option, 8);
	nghttp2_option_set_max_settings(h->option, 32);
	nghttp2_option_set_max_outbound_ack(h->option, 256);
	nghttp2_option_set_no_auto_window_update(h->option, 1);
	nghttp2_option_set_no_closed_streams(h->option, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(h->option, 4096);
	return OK;
}

enum err http2_new(const struct http2_config *cfg, struct http2 **out, struct fail *f)
{
	const struct front_limits *lim = cfg->limits;
	struct http2 *h = heap_zalloc(sizeof *h);
	enum err e = E_NOMEM;

	if (h == NULL) {
		close(cfg->fd);
		return E_NOMEM;
	}
	h->c = *cfg;
	deadlines_init(&h->head, cfg->loop, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->idle, cfg->loop, lim->idle_timeout_us, idle_cb);
	deadlines_init(&h->quiet, cfg->loop, lim->idle_timeout_us, quiet_cb);
	deadlines_init(&h->body, cfg->loop, lim->body_timeout_us, http2_stream_late_cb);
	deadlines_init(&h->send, cfg->loop, lim->body_timeout_us, send_late_cb);
	deadlines_init(&h->farewell, cfg->loop, FAREWELL, idle_cb);
	deadlines_init(&h->rest, cfg->loop, REST_TIME, http2_stream_rest_cb);
	e = listener_open(&h->listener, cfg->loop, cfg->fd, cfg->crew, accepted_cb);
	if (e == OK)
		e = make_options(h);
	if (e != OK) {
		http2_free(h);
		return fail_set(f, e, "the HTTP/2 listener does not start");
	}
	*out = h;
	return OK;
}

bool http2_connected(const struct http2 *h)
{
	return h->conns != NULL;
}

/* RFC 9113, 6.8: first a GOAWAY that refuses nothing, and a little later one that says which stream was the
 * last, so that no request that is on its way is lost. */
void http2_drain(struct http2 *h)
{
	listener_drain(&h->listener);
	h->draining = true;
	for (struct http2_conn *c = h->conns; c != NULL; c = c->next)
		say_farewell(c);
}

void http2_free(struct http2 *h)
{
	if (h == NULL)
		return;
	listener_close(&h->listener);
	while (h->conns != NULL) {
		h->conns->broken = true;
		close_conn(h->conns);
	}
	deadlines_release(&h->head);
	deadlines_release(&h->idle);
	deadlines_release(&h->quiet);
	deadlines_release(&h->body);
	deadlines_release(&h->send);
	deadlines_release(&h->farewell);
	deadlines_release(&h->rest);
	nghttp2_session_callbacks_del(h->callbacks);
	nghttp2_option_del(h->option);
	heap_free(h);
}
