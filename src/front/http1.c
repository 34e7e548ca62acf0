#include "front/http1.h"

#include <assert.h>
#include <microhttpd.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/heap.h"
#include "front/exchange.h"
#include "front/http1_reply.h"
#include "front/linger.h"
#include "front/peers.h"
#include "front/sock.h"

/* Visits by libmicrohttpd after which a request that waits is suspended. */
#define PARK_VISITS 32
/* While requests are parked libmicrohttpd always says that it wants to run. Events make it run when
 * there is something to do; this is for what it may keep back besides, and for counting visits. */
#define PARK_POLL CLOCK_MS
#define TARGET_MAX 8192
#define PARTING_TIME (20 * CLOCK_MS)
/* A connection's memory beside the head: records of fields, and the head of the answer. libmicrohttpd
 * clears all of it after each request, so more costs time (0.1 us for each KiB). */
#define POOL_BESIDE 4096
#define CONNECTIONS_MAX 1000000000u /* libmicrohttpd's own limit: out of the way of ours */

struct http1 {
	struct http1_config c;
	struct MHD_Daemon *daemon;
	struct loop_fd events; /* the daemon's epoll set */
	bool due;              /* MHD_run is wanted in this iteration */
	bool draining;
	size_t parked;
	struct http1_conn *conns;
	/* Since accept or the last answer; since the request line; for the body; for the answer to go. */
	struct deadlines fresh, idle, head, body, send;
	struct deadlines parting; /* since the last answer, when the client has closed its side */
};

struct http1_conn {
	struct http1 *h;
	struct MHD_Connection *mhd;
	int fd;
	bool counted;  /* with peers */
	bool dead;     /* answered raw or shut down: nothing more is said on it */
	bool linger;   /* the client may still be sending */
	bool eof;      /* the client will send no more */
	struct sockaddr_storage peer;
	struct exchange *x;      /* the request that is being read or answered */
	struct deadline deadline;
	struct loop_fd watch;    /* for the client's end */
	size_t progress;         /* bytes, when the deadline was last set */
	struct http1_conn *next, *prev;
};

/* ---- the end of a connection --------------------------------------------------------------- */

/* libmicrohttpd has no call that closes a connection; but it sees the socket die. */
static void kill_conn(struct http1_conn *c)
{
	c->dead = true;
	shutdown(c->fd, SHUT_RDWR);
}

/* libmicrohttpd reads until a read is short and then waits for an edge; a FIN that came together with
 * the last bytes makes none. */
static void at_end(struct http1_conn *c)
{
	char byte;

	if (c->x == NULL && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		kill_conn(c);
}

/* The client has closed, or only its sending side: some do that behind their request, and are still
 * answered if it does not take long. */
static void gone_cb(struct loop_fd *fd, uint32_t events)
{
	struct http1_conn *c = (struct http1_conn *)((char *)fd - offsetof(struct http1_conn, watch));

	(void)events;
	c->eof = true;
	if (c->x == NULL)
		at_end(c);
	else if (c->x->h1.suspended)
		exchange_gone(c->x);
}

static void unpark(struct exchange *x)
{
	if (x->h1.parked)
		x->h1.conn->h->parked--;
	x->h1.parked = false;
}

/* The connection lets go of its exchange: answered, or the client has left. */
static void detach(struct http1_conn *c)
{
	struct exchange *x = c->x;

	unpark(x);
	c->x = NULL;
	x->h1.conn = NULL;
	exchange_lost(x, x->h1.queued);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void respond_cb(struct request *r)
{
	struct exchange *x = exchange_of(r);
	struct http1_conn *c = x->h1.conn;

	x->answered = true;
	if (c == NULL) {
		exchange_finish(x);
		return;
	}
	if (x->h1.suspended) {
		x->h1.suspended = false;
		MHD_resume_connection(c->mhd);
	}
	c->h->due = true;
}

static const struct request_front http1_front = { .respond = respond_cb };

static enum MHD_Result queue(struct http1_conn *c, struct exchange *x)
{
	bool close = x->r.reply.close || x->length == CHECK_CHUNKED || c->h->draining;

	unpark(x);
	if (!http1_reply_queue(c->mhd, &x->r, close))
		return MHD_NO;
	x->h1.queued = true;
	c->linger |= close && x->length > 0 && !x->complete;
	c->progress = 0;
	deadline_set(&c->deadline, &c->h->send);
	c->h->due = true; /* libmicrohttpd may write only when it runs again */
	return MHD_YES;
}

/* Ends the connection with an answer where libmicrohttpd would take none. */
static enum MHD_Result abort_with(struct http1_conn *c, enum err e)
{
	struct exchange *x = c->x;

	if (x == NULL || !x->started) {
		http1_reply_raw_error(c->fd, e);
	} else {
		assert(!x->answered && !x->complete);
		x->r.reply.close = true;
		step_done(request_fail_code(&x->r, e));
		http1_reply_raw(c->fd, &x->r);
		x->h1.queued = true;
	}
	c->dead = true;
	c->linger = true;
	return MHD_NO;
}

/* No answer yet: parked, later suspended. */
static enum MHD_Result wait(struct http1_conn *c, struct exchange *x)
{
	struct http1 *h = c->h;

	if (!x->h1.parked) {
		x->h1.parked = true;
		h->parked++;
	}
	if (++x->h1.visits < PARK_VISITS)
		return MHD_YES;
	if (c->eof)
		exchange_gone(x);
	if (x->answered)
		return queue(c, x);
	unpark(x);
	x->h1.suspended = true;
	MHD_suspend_connection(c->mhd);
	return MHD_YES;
}

/* ---- the head ------------------------------------------------------------------------------ */

static struct http1_conn *conn_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line is there. The target lies where libmicrohttpd will unescape it in place. */
static void *target_cb(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct http1_conn *c = conn_of(mhd);
	struct exchange *x;

	(void)arg;
	if (c == NULL || uri == NULL)
		return NULL;
	x = exchange_new(c->h->c.stock);
	if (x == NULL)
		return NULL;
	x->h1.conn = c;
	c->x = x;
	x->r.front = &http1_front;
	x->r.listener = c->h->c.listener;
	x->r.http_version = 1;
	x->r.peer = c->peer;
	x->h1.head.target = str_c(uri);
	x->r.target = arena_str(&x->r.arena, x->h1.head.target);
	if (c->deadline.in != &c->h->fresh)
		deadline_set(&c->deadline, &c->h->head);
	return x;
}

/* The target is kept raw by target_cb; nobody reads libmicrohttpd's copy. */
static size_t unescape_cb(void *arg, struct MHD_Connection *mhd, char *s)
{
	(void)arg;
	(void)mhd;
	return strlen(s);
}

struct collect {
	struct header *h;
	size_t n, max;
};

static enum MHD_Result collect_cb(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_n,
    const char *value, size_t value_n)
{
	struct collect *c = arg;

	(void)kind;
	if (c->n == c->max)
		return MHD_NO;
	c->h[c->n++] = (struct header){ { name, name_n }, { value, value_n } };
	return MHD_YES;
}

/* Walks over the head as it lies in libmicrohttpd's buffer and takes a copy of it into the arena. */
static enum err take_head(struct exchange *x, const char *method, const char *version)
{
	const struct front_limits *lim = x->h1.conn->h->c.limits;
	struct check_head *head = &x->h1.head;
	struct request *r = &x->r;
	int count = MHD_get_connection_values_n(x->h1.conn->mhd, MHD_HEADER_KIND, NULL, NULL);
	struct collect fields = { .max = count > 0 ? (size_t)count : 0 };
	char *copy;

	head->method = method;
	head->version = version;
	head->n = MHD_get_connection_info(x->h1.conn->mhd,
	    MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
	r->method = str_c(method);
	if (head->n > lim->headers || fields.max > lim->header_count)
		return E_HEADERS_TOO_LARGE;
	copy = arena_alloc(&r->arena, head->n);
	fields.h = arena_alloc(&r->arena, fields.max * sizeof *fields.h);
	if (copy == NULL || fields.h == NULL || r->target.p == NULL)
		return E_NOMEM;
	MHD_get_connection_values_n(x->h1.conn->mhd, MHD_HEADER_KIND, collect_cb, &fields);
	head->h = fields.h;
	head->nh = fields.n;
	if (check_layout(head) != OK)
		return E_BAD_REQUEST;
	memcpy(copy, method, head->n);
	r->method.p = copy;
	for (size_t i = 0; i < fields.n; i++) {
		struct str name = { copy + (fields.h[i].name.p - method), fields.h[i].name.n };
		struct str value = { copy + (fields.h[i].value.p - method), fields.h[i].value.n };
		enum err e = request_add_header(r, name, str_trim(value));

		if (e != OK)
			return e;
	}
	x->h1.http_1_0 = memcmp(version, "HTTP/1.0", 8) == 0;
	return OK;
}

static bool known_method(struct str m)
{
	for (int i = 0; i < M__COUNT; i++)
		if (str_eqc(m, method_name((enum method)i)))
			return true;
	return false;
}

static enum err check_head(struct exchange *x)
{
	struct request *r = &x->r;
	struct check_target t;
	enum err e;

	if (r->target.n > TARGET_MAX)
		return E_URI_TOO_LONG;
	e = check_framing(r, x->h1.http_1_0, &x->length);
	if (e != OK)
		return e;
	if (!known_method(r->method))
		return E_NOT_IMPLEMENTED; /* RFC 9110, 9.1; also TRACE and CONNECT */
	e = check_target(r->method, r->target, &t);
	if (e != OK)
		return e;
	/* RFC 9112, 3.2.2: the absolute form wins over Host */
	r->authority = t.authority.p != NULL ? t.authority : request_known(r, HDR_HOST);
	r->target = t.path;
	return OK;
}

static enum MHD_Result begin(struct http1_conn *c, struct exchange *x, const char *method,
    const char *version)
{
	enum err e = take_head(x, method, version);
	bool wanted;

	if (e != OK)
		x->length = CHECK_CHUNKED; /* who knows what follows */
	else
		e = check_head(x);
	deadline_clear(&c->deadline);
	wanted = exchange_start(x, e);
	if (x->answered)
		return queue(c, x);
	if (wanted && x->length > 0) {
		c->progress = 0;
		deadline_set(&c->deadline, &c->h->body);
	}
	return MHD_YES;
}

/* ---- the body ------------------------------------------------------------------------------ */

static enum MHD_Result take_body(struct http1_conn *c, struct exchange *x, const char *p, size_t n)
{
	enum err e = x->r.body.n + n > c->h->c.limits->body ? E_BODY_TOO_LARGE
	    : buf_add(&x->r.body, p, n);

	return e == OK ? MHD_YES : abort_with(c, e);
}

/* libmicrohttpd calls: once when the head is there, for each piece of body, when the request is
 * complete, and then whenever it runs until there is a response. */
static enum MHD_Result handle_cb(void *arg, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *n, void **ctx)
{
	struct exchange *x = *ctx;
	struct http1_conn *c = x != NULL ? x->h1.conn : NULL;

	(void)arg;
	(void)mhd;
	(void)url;
	if (c == NULL || c->dead)
		return MHD_NO;
	if (!x->started)
		return begin(c, x, method, version);
	if (*n > 0) {
		size_t got = *n;

		*n = 0;
		return take_body(c, x, data, got);
	}
	if (!x->complete) {
		x->complete = true;
		deadline_clear(&c->deadline);
		api_run(c->h->c.stock->api, &x->r);
	}
	return x->answered ? queue(c, x) : wait(c, x);
}

static void completed_cb(void *arg, struct MHD_Connection *mhd, void **ctx,
    enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *ctx;
	struct http1_conn *c = x != NULL ? x->h1.conn : NULL;

	(void)arg;
	(void)mhd;
	*ctx = NULL;
	if (c == NULL)
		return;
	if (why != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->h1.queued && !c->dead)
		x->r.client_gone = true;
	detach(c);
	/* behind the client's FIN there may still be a request in libmicrohttpd's buffer */
	deadline_set(&c->deadline, c->eof ? &c->h->parting : &c->h->idle);
	if (c->h->draining)
		kill_conn(c);
}

/* ---- connections --------------------------------------------------------------------------- */

static void link_conn(struct http1 *h, struct http1_conn *c)
{
	c->next = h->conns;
	if (h->conns != NULL)
		h->conns->prev = c;
	h->conns = c;
}

static void opened(struct http1 *h, struct MHD_Connection *mhd, void **ctx)
{
	int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	const struct sockaddr *addr = MHD_get_connection_info(mhd,
	    MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	struct http1_conn *c = heap_zalloc(sizeof *c);

	if (c == NULL) {
		shutdown(fd, SHUT_RDWR);
		return;
	}
	*c = (struct http1_conn){ .h = h, .mhd = mhd, .fd = fd,
		.watch = { .fd = fd, .events = EPOLLRDHUP | EPOLLET, .cb = gone_cb } };
	memcpy(&c->peer, addr, addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	    : sizeof(struct sockaddr_in));
	*ctx = c;
	link_conn(h, c);
	c->counted = peers_enter(h->c.peers, addr) == OK;
	if (c->counted && loop_add(h->c.loop, &c->watch) == OK) {
		deadline_set(&c->deadline, &h->fresh);
		return;
	}
	http1_reply_raw_error(fd, E_OVERLOADED);
	c->linger = true;
	kill_conn(c);
}

static void closed(struct http1_conn *c)
{
	struct http1 *h = c->h;
	int fd = c->linger ? dup(c->fd) : -1;

	assert(c->x == NULL);
	loop_del(h->c.loop, &c->watch);
	if (fd >= 0)
		linger_take(h->c.linger, fd);
	deadline_clear(&c->deadline);
	if (c->counted)
		peers_leave(h->c.peers, (struct sockaddr *)&c->peer);
	*(c->prev != NULL ? &c->prev->next : &h->conns) = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	heap_free(c);
}

static void connection_cb(void *arg, struct MHD_Connection *mhd, void **ctx,
    enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		opened(arg, mhd, ctx);
	else if (*ctx != NULL)
		closed(*ctx);
}

/* ---- time ---------------------------------------------------------------------------------- */

static struct http1_conn *late(struct deadline *d)
{
	return (struct http1_conn *)((char *)d - offsetof(struct http1_conn, deadline));
}

static void quiet_cb(struct deadline *d)
{
	kill_conn(late(d));
}

static void head_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->x != NULL) /* at least a request line has come */
		(void)abort_with(c, E_REQUEST_TIMEOUT);
	kill_conn(c);
}

/* A body that arrives steadily may take longer than the timeout. */
#define BODY_RATE 4096 /* bytes in a timeout's time */

static void body_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);

	if (c->x->r.body.n >= c->progress + BODY_RATE) {
		c->progress = c->x->r.body.n;
		deadline_set(d, &c->h->body);
		return;
	}
	(void)abort_with(c, E_REQUEST_TIMEOUT);
	kill_conn(c);
}

/* A client that reads steadily may take longer than the timeout. */
static void send_late_cb(struct deadline *d)
{
	struct http1_conn *c = late(d);
	size_t acked = sock_acked(c->fd);

	if (acked == c->progress) {
		kill_conn(c);
		return;
	}
	c->progress = acked;
	deadline_set(d, &c->h->send);
}

/* ---- the daemon ---------------------------------------------------------------------------- */

static void events_cb(struct loop_fd *fd, uint32_t events)
{
	(void)events;
	((struct http1 *)((char *)fd - offsetof(struct http1, events)))->due = true;
}

int64_t http1_turn(struct http1 *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	/* the second run writes what the first queued */
	for (int i = 0; i < 3 && h->due; i++) {
		h->due = false;
		(void)MHD_run(h->daemon);
	}
	if (h->due)
		return 0;
	if (MHD_get_timeout(h->daemon, &ms) != MHD_YES || ms > 0)
		return -1;
	h->due = true;
	return h->parked > 0 ? PARK_POLL : 0;
}

static struct MHD_Daemon *start(struct http1 *h)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle_cb, h,
	    MHD_OPTION_LISTEN_SOCKET, h->c.fd,
	    MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, h->c.limits->headers + POOL_BESIDE,
	    MHD_OPTION_CONNECTION_TIMEOUT, 0u, /* ours instead: libmicrohttpd's start anew with each byte */
	    MHD_OPTION_STRICT_FOR_CLIENT, 0,   /* check.h is stricter, and answers with the envelope */
	    MHD_OPTION_URI_LOG_CALLBACK, target_cb, h,
	    MHD_OPTION_UNESCAPE_CALLBACK, unescape_cb, h,
	    MHD_OPTION_NOTIFY_COMPLETED, completed_cb, h,
	    MHD_OPTION_NOTIFY_CONNECTION, connection_cb, h,
	    MHD_OPTION_END);
}

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
	deadlines_init(&h->fresh, l, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->idle, l, lim->idle_timeout_us, quiet_cb);
	deadlines_init(&h->parting, l, PARTING_TIME, quiet_cb);
	deadlines_init(&h->head, l, lim->header_timeout_us, head_late_cb);
	deadlines_init(&h->body, l, lim->body_timeout_us, body_late_cb);
	deadlines_init(&h->send, l, lim->body_timeout_us, send_late_cb);
	h->daemon = start(h); /* closes the socket when it fails */
	if (h->daemon == NULL) {
		heap_free(h);
		return fail_set(f, E_INTERNAL, "libmicrohttpd does not start");
	}
	h->events = (struct loop_fd){ .events = EPOLLIN, .cb = events_cb,
		.fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd };
	h->due = true; /* the first run puts the listening socket into the epoll set */
	if (loop_add(l, &h->events) != OK) {
		http1_free(h);
		return fail_set(f, E_INTERNAL, "epoll does not take another epoll descriptor");
	}
	*out = h;
	return OK;
}

void http1_drain(struct http1 *h)
{
	int fd = MHD_quiesce_daemon(h->daemon);

	if (fd >= 0)
		close(fd);
	h->draining = true;
	h->due = true;
	for (struct http1_conn *c = h->conns; c != NULL; c = c->next)
		if (c->x == NULL)
			kill_conn(c);
}

void http1_free(struct http1 *h)
{
	if (h == NULL)
		return;
	for (struct http1_conn *c = h->conns; c != NULL; c = c->next) {
		struct exchange *x = c->x;

		c->dead = true;
		if (x != NULL && x->h1.suspended) {
			x->h1.suspended = false;
			MHD_resume_connection(c->mhd); /* MHD_stop_daemon insists */
		}
	}
	loop_del(h->c.loop, &h->events);
	MHD_stop_daemon(h->daemon); /* ends all connections, by the callbacks above */
	deadlines_release(&h->fresh);
	deadlines_release(&h->idle);
	deadlines_release(&h->parting);
	deadlines_release(&h->head);
	deadlines_release(&h->body);
	deadlines_release(&h->send);
	heap_free(h);
}
