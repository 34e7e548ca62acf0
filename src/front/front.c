#include "front/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/rnd.h"
#include "base/str.h"
#include "front/exchange.h"
#include "front/handshake.h"
#include "front/http1.h"
#include "front/http2.h"
#include "front/linger.h"
#include "front/peers.h"

#define BACKLOG 4096
#define PATIENCE CLOCK_SEC /* of a drain, with clients that don't close */

struct front {
	struct loop *loop;
	struct front_limits limits;
	struct stock *stock;
	struct peers *peers;
	struct linger_set linger;
	struct handshakes handshakes;
	struct http1 *http, *admin;
	struct http2 *grpc;
	struct loop_hook hook;
	void (*idle)(void *arg); /* draining: to be called when nothing is left to do */
	void *idle_arg;
	int64_t quiet_since; /* monotonic: draining, and no request since; 0: there are requests */
};

/* ---- sockets ------------------------------------------------------------------------------- */

/* "host:port", "[v6]:port", ":port", "*:port". */
static bool split_address(const char *address, char host[256], char port[16])
{
	const char *colon = strrchr(address, ':');
	size_t n = colon != NULL ? (size_t)(colon - address) : 0;

	if (colon == NULL || n >= 256 || strlen(colon + 1) >= 16 || colon[1] == '\0')
		return false;
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	memcpy(host, address, n);
	host[n] = '\0';
	if (strcmp(host, "*") == 0)
		host[0] = '\0';
	strcpy(port, colon + 1);
	return true;
}

static socklen_t length_of(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

#define BIND_TRIES 20

static bool allow_siblings(int s)
{
	int one = 1;

	return setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
}

static int new_socket(int family)
{
	int one = 1, s = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* TCP_NODELAY is inherited by what is accepted */
	if (s >= 0 && setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0)
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

/* The first socket of an address asks for SO_REUSEPORT only once it listens. With it a bind would quietly
 * succeed, and share the connections, when another gateway of the same user listens there; and because of
 * SO_REUSEADDR two that are bound and do not listen yet don't disturb each other: it is listen(2) that
 * decides, and the kernel lets one of them through, or none. */
static int listen_first(const struct sockaddr_storage *a)
{
	int s = new_socket(a->ss_family);

	if (s >= 0 && bind(s, (const struct sockaddr *)a, length_of(a)) == 0 && listen(s, BACKLOG) == 0 &&
	    allow_siblings(s))
		return s;
	if (s >= 0) {
		int e = errno;

		close(s);
		errno = e;
	}
	return -1;
}

/* Of several that start at the same instant one must get the address, so none gives up when all of them
 * failed at once: that ends as soon as one was a little earlier. */
static int listen_alone(const struct sockaddr_storage *a)
{
	int s = listen_first(a);

	for (int i = 0; s < 0 && errno == EADDRINUSE && i < BIND_TRIES; i++) {
		struct timespec pause = { 0 };
		uint16_t us;

		rnd_bytes(&us, sizeof us);
		pause.tv_nsec = us % 5000 * 1000;
		(void)nanosleep(&pause, NULL);
		s = listen_first(a);
	}
	return s;
}

static int listen_sibling(const struct sockaddr_storage *a)
{
	int s = new_socket(a->ss_family);

	if (s >= 0 && allow_siblings(s) && bind(s, (const struct sockaddr *)a, length_of(a)) == 0 &&
	    listen(s, BACKLOG) == 0)
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

enum err front_bind(const char *address, int *fd, struct sockaddr_storage *bound, struct fail *f)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *list;
	char host[256], port[16];
	socklen_t n = sizeof *bound;
	int rc;

	if (!split_address(address, host, port))
		return fail_set(f, E_CONFIG, "\"%s\" is not host:port", address);
	rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list);
	if (rc != 0)
		return fail_set(f, E_CONFIG, "%s: %s", address, gai_strerror(rc));
	memset(bound, 0, sizeof *bound);
	memcpy(bound, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	*fd = listen_alone(bound);
	if (*fd < 0)
		return fail_set(f, E_CONFIG, "%s: %s", address, strerror(errno));
	getsockname(*fd, (struct sockaddr *)bound, &n);
	return OK;
}

enum err front_bind_sibling(const struct sockaddr_storage *bound, int *fd, struct fail *f)
{
	*fd = listen_sibling(bound);
	return *fd >= 0 ? OK : fail_set(f, E_CONFIG, "another socket for the same address: %s", strerror(errno));
}

/* ---- the front ----------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

static bool connected(const struct front *fr)
{
	return fr->linger.n > 0 || (fr->http != NULL && http1_connected(fr->http)) ||
	    (fr->admin != NULL && http1_connected(fr->admin)) || (fr->grpc != NULL && http2_connected(fr->grpc));
}

/* Behind a handshake comes a request. Behind the last request there may be answers that wait for a slow
 * reader, and clients that have yet to hear that this was it. */
static int64_t drain_turn(struct front *fr)
{
	void (*idle)(void *) = fr->idle;
	int64_t now = loop_now(fr->loop);

	if (idle == NULL)
		return -1;
	if (fr->stock->active > 0 || handshakes_going(&fr->handshakes)) {
		fr->quiet_since = 0;
		return -1;
	}
	if (fr->quiet_since == 0)
		fr->quiet_since = now;
	if (connected(fr) && now - fr->quiet_since < PATIENCE)
		return fr->quiet_since + PATIENCE - now;
	fr->idle = NULL;
	idle(fr->idle_arg);
	return -1;
}

static int64_t turn_cb(struct loop_hook *hook)
{
	struct front *fr = (struct front *)((char *)hook - offsetof(struct front, hook));
	int64_t us = handshakes_turn(&fr->handshakes);

	if (fr->http != NULL)
		us = sooner(us, http1_turn(fr->http));
	if (fr->admin != NULL)
		us = sooner(us, http1_turn(fr->admin));
	if (fr->grpc != NULL)
		us = sooner(us, http2_turn(fr->grpc));
	return sooner(us, drain_turn(fr));
}

static enum err open_http1(struct front *fr, int fd, unsigned listener, struct crew *crew,
    struct http1 **out, struct fail *f)
{
	struct http1_config c = { .fd = fd, .listener = listener, .limits = &fr->limits,
		.loop = fr->loop, .crew = crew, .stock = fr->stock, .peers = fr->peers, .linger = &fr->linger,
		.handshakes = &fr->handshakes };

	return fd >= 0 ? http1_new(&c, out, f) : OK;
}

static enum err open_http2(struct front *fr, int fd, unsigned listener, struct crew *crew,
    struct http2 **out, struct fail *f)
{
	struct http2_config c = { .fd = fd, .listener = listener, .limits = &fr->limits,
		.loop = fr->loop, .crew = crew, .stock = fr->stock, .peers = fr->peers, .linger = &fr->linger,
		.handshakes = &fr->handshakes };

	return fd >= 0 ? http2_new(&c, out, f) : OK;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

enum err front_new(const struct front_config *c, struct loop *loop, struct api *api,
    struct obs_worker *obs, struct front **out, struct fail *f)
{
	struct front *fr = heap_zalloc(sizeof *fr);
	int http = c->http_fd, admin = c->admin_fd, grpc = c->grpc_fd;
	enum err e = E_NOMEM;

	if (fr == NULL)
		goto out;
	fr->loop = loop;
	fr->limits = c->limits;
	fr->peers = c->peers;
	fr->hook.cb = turn_cb;
	linger_init(&fr->linger, loop);
	loop_hook_add(loop, &fr->hook);
	e = stock_new(loop, api, obs, c->gate, c->limits.body, &fr->stock);
	if (e == OK)
		e = handshakes_init(&fr->handshakes, obs);
	if (e != OK)
		goto out;
	e = open_http1(fr, http, ON_HTTP, c->http_crew, &fr->http, f);
	http = -1;
	if (e != OK)
		goto out;
	e = open_http1(fr, admin, ON_ADMIN, NULL, &fr->admin, f);
	admin = -1;
	if (e != OK)
		goto out;
	e = open_http2(fr, grpc, ON_GRPC, c->grpc_crew, &fr->grpc, f);
	grpc = -1;
	if (e == OK)
		*out = fr;
out:
	if (e != OK) {
		close_fd(http);
		close_fd(admin);
		close_fd(grpc);
		front_free(fr);
	}
	return e;
}

void front_set_tls_take(struct front *fr, struct tls_server *t)
{
	handshakes_set_server_take(&fr->handshakes, t);
}

void front_configure(struct front *fr, const struct front_limits *l)
{
	fr->limits.body = fr->stock->max_body = l->body;
	fr->limits.headers = l->headers;
	fr->limits.header_count = l->header_count;
}

void front_drain(struct front *fr, void (*idle)(void *arg), void *arg)
{
	fr->idle = idle;
	fr->idle_arg = arg;
	if (fr->http != NULL)
		http1_drain(fr->http);
	if (fr->admin != NULL)
		http1_drain(fr->admin);
	if (fr->grpc != NULL)
		http2_drain(fr->grpc);
}

void front_free(struct front *fr)
{
	if (fr == NULL)
		return;
	http1_free(fr->http);
	http1_free(fr->admin);
	http2_free(fr->grpc);
	loop_hook_del(fr->loop, &fr->hook);
	linger_release(&fr->linger);
	handshakes_release(&fr->handshakes);
	stock_close(fr->stock);
	heap_free(fr);
}
