#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lossy_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_fixture.h"

static int connect_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Whether the bytes end a request or an answer with Content-Length. */
static bool is_whole(const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4), *cl;

	if (end == NULL)
		return false;
	cl = memmem(p, n, "Content-Length: ", 16);
	return cl != NULL && n >= (size_t)(end - p) + 4 + (size_t)atol(cl + 16);
}

static size_t read_whole(int fd, char *p, size_t cap)
{
	size_t n = 0;
	ssize_t got;

	while (n < cap && !is_whole(p, n) && (got = read(fd, p + n, cap - n)) > 0)
		n += (size_t)got;
	return n;
}

static void pass_one(struct lossy_proxy *p, int client)
{
	static _Thread_local char buf[1 << 16];
	size_t n = read_whole(client, buf, sizeof buf);
	int up;

	if (n > 0 && p->hold > 0 && p->hold-- > 0) {
		p->held++;
		while (!p->stop)
			poll_again();
	}
	up = n > 0 ? connect_to(p->upstream) : -1;
	if (up < 0)
		return;
	if (write(up, buf, n) == (ssize_t)n) {
		n = read_whole(up, buf, sizeof buf);
		if (p->eat > 0 && p->eat-- > 0)
			p->eaten++;
		else if (write(client, buf, n) < 0)
			n = 0;
	}
	close(up);
}

static void *serve_one(void *arg)
{
	struct lossy_conn *c = arg;

	pass_one(c->proxy, c->client);
	close(c->client);
	return NULL;
}

static void *serve(void *arg)
{
	struct lossy_proxy *p = arg;
	struct pollfd in = { .fd = p->listener, .events = POLLIN };

	while (!p->stop) {
		struct lossy_conn *c = &p->conns[p->n];

		if (poll(&in, 1, 10) != 1)
			continue;
		assert_true(p->n < LOSSY_CONNS);
		*c = (struct lossy_conn){ .proxy = p, .client = accept(p->listener, NULL, NULL) };
		p->n += pthread_create(&c->thread, NULL, serve_one, c) == 0;
	}
	return NULL;
}

void lossy_proxy_start(struct lossy_proxy *p, int upstream)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;

	memset(p, 0, sizeof *p);
	p->upstream = upstream;
	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(p->listener, 16), 0);
	getsockname(p->listener, (struct sockaddr *)&a, &len);
	p->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

void lossy_proxy_stop(struct lossy_proxy *p)
{
	p->stop = true;
	pthread_join(p->thread, NULL);
	for (int i = 0; i < p->n; i++)
		pthread_join(p->conns[i].thread, NULL);
	close(p->listener);
}
