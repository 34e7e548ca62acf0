#include "listener.h"

#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void die(const char *name, const char *address, const char *why)
{
	fprintf(stderr, "samplenode: --%s %s: %s\n", name, address, why);
	exit(1);
}

static struct sockaddr_in parse(const char *name, const char *address)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char host[64];
	unsigned port;
	int end = 0;

	if (sscanf(address, "%63[0-9.]:%u%n", host, &port, &end) != 2 || address[end] ||
	    port > 65535 || inet_pton(AF_INET, host, &sin.sin_addr) != 1)
		die(name, address, "an IPv4 address and port is expected, such as 127.0.0.1:0");
	sin.sin_port = htons((uint16_t)port);
	return sin;
}

static void ready(struct watch *w, uint32_t events)
{
	struct listener *l = (struct listener *)w;
	int fd, one = 1;

	(void)events;
	while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		l->open(&l->loops[l->next], fd);
		l->next = (l->next + 1) % l->nloops;
	}
}

void listener_init(struct listener *l, const char *name, const char *address, struct loop *loops,
                   size_t nloops, void (*open)(struct loop *l, int fd))
{
	struct sockaddr_in sin = parse(name, address);
	socklen_t len = sizeof sin;
	char host[INET_ADDRSTRLEN];
	int one = 1;

	*l = (struct listener){
		.loops = loops, .nloops = nloops, .open = open, .watch.ready = ready
	};
	l->watch.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(l->watch.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(l->watch.fd, (struct sockaddr *)&sin, sizeof sin) || listen(l->watch.fd, 1024) ||
	    getsockname(l->watch.fd, (struct sockaddr *)&sin, &len))
		die(name, address, strerror(errno));
	printf("listening %s %s:%u\n", name, inet_ntop(AF_INET, &sin.sin_addr, host, sizeof host),
	       ntohs(sin.sin_port));
	loop_add(&loops[0], &l->watch, EPOLLIN);
}
