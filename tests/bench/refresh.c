/* Loads gateways with token refreshes: each line of standard input is the refresh token of a client
 * with a kept connection; the token of each answer goes into the client's next request. Clients take
 * turns over the ports. One thread.
 * usage: refresh-load SECONDS PORT[,PORT...] < TOKENS
 * Prints one line of JSON: rate, p50 and p99 (ms), requests, failed. The last tokens go nowhere. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define CLIENTS_MAX 1024
#define SAMPLES_MAX 4000000

struct client {
	int fd;
	char token[128];
	char in[8192];
	size_t n;
	int64_t sent;
};

static struct client clients[CLIENTS_MAX];
static uint32_t samples[SAMPLES_MAX];
static size_t nsamples;
static long failed, counted;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void ask(struct client *c)
{
	char out[512], body[192];
	int b = snprintf(body, sizeof body, "{\"refresh_token\":\"%s\"}", c->token);
	int n = snprintf(out, sizeof out, "POST /v1/auth/refresh HTTP/1.1\r\nHost: gateway\r\n"
	    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", b, body);

	c->n = 0;
	c->sent = clock_mono();
	if (write(c->fd, out, (size_t)n) != n)
		die("write");
}

/* The whole answer is there: its length, 0 when it is not. */
static size_t complete(const struct client *c)
{
	const char *end = strstr(c->in, "\r\n\r\n"), *length = strcasestr(c->in, "\r\ncontent-length:");

	if (end == NULL || length == NULL || length > end)
		return 0;
	return (size_t)(end + 4 - c->in) + strtoul(length + 17, NULL, 10) <= c->n;
}

static bool take_token(struct client *c)
{
	static const char key[] = "\"refresh_token\":\"";
	char *at = strstr(c->in, key), *end;

	if (strncmp(c->in, "HTTP/1.1 200 ", 13) != 0 || at == NULL)
		return false;
	at += sizeof key - 1;
	end = strchr(at, '"');
	if (end == NULL || (size_t)(end - at) >= sizeof c->token)
		return false;
	memcpy(c->token, at, (size_t)(end - at));
	c->token[end - at] = '\0';
	return true;
}

/* False: the client is out, because its answer was no token. */
static bool serve(struct client *c, bool more)
{
	ssize_t got = read(c->fd, c->in + c->n, sizeof c->in - 1 - c->n);

	if (got < 0 && errno == EAGAIN)
		return true;
	if (got <= 0)
		die("read");
	c->n += (size_t)got;
	c->in[c->n] = '\0';
	if (!complete(c))
		return true;
	counted++;
	if (nsamples < SAMPLES_MAX)
		samples[nsamples++] = (uint32_t)(clock_mono() - c->sent);
	if (!take_token(c)) {
		if (failed++ == 0)
			fprintf(stderr, "refresh-load: %.400s\n", c->in);
		return false;
	}
	if (more)
		ask(c);
	return more;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int ports[16], nports = 0, ep = epoll_create1(0), n = 0, busy;
	struct epoll_event events[64];
	int64_t start, until;
	double took;

	if (argc != 3 || ep < 0)
		return fprintf(stderr, "usage: refresh-load SECONDS PORT[,PORT...] < TOKENS\n"), 2;
	for (char *p = strtok(argv[2], ","); p != NULL && nports < 16; p = strtok(NULL, ","))
		ports[nports++] = atoi(p);
	while (n < CLIENTS_MAX && scanf("%127s", clients[n].token) == 1) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &clients[n] };

		clients[n].fd = dial(ports[n % nports]);
		epoll_ctl(ep, EPOLL_CTL_ADD, clients[n++].fd, &e);
	}
	start = clock_mono();
	until = start + (int64_t)(atof(argv[1]) * CLOCK_SEC);
	for (int i = 0; i < n; i++)
		ask(&clients[i]);
	for (busy = n; busy > 0;) {
		int ready = epoll_wait(ep, events, 64, 30000);

		if (ready <= 0)
			die("epoll_wait");
		for (int i = 0; i < ready; i++)
			if (!serve(events[i].data.ptr, clock_mono() < until))
				busy--;
	}
	took = (double)(clock_mono() - start) / CLOCK_SEC;
	qsort(samples, nsamples, sizeof *samples, by_value);
	printf("{\"rate\": %.1f, \"p50\": %.3f, \"p99\": %.3f, \"requests\": %ld, \"failed\": %ld}\n",
	    (double)counted / took, nsamples > 0 ? samples[nsamples / 2] / 1e3 : 0,
	    nsamples > 0 ? samples[nsamples * 99 / 100] / 1e3 : 0, counted, failed);
	return 0;
}
