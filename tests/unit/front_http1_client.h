/* A client of the front's HTTP/1.1 and the worker that it talks to. Included by one test program each. */
#ifndef FRONT_HTTP1_CLIENT_H
#define FRONT_HTTP1_CLIENT_H

#include "front_worker.h"

#define H "Host: h\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

struct answer {
	int status;     /* 0: the connection was closed without one */
	char text[65536];
	size_t n;
	const char *body;
	size_t body_n;
	bool closed;    /* the end of the stream was seen */
	bool garbage;   /* bytes behind the answer */
};

static bool complete(struct answer *a, bool head)
{
	char *end = memmem(a->text, a->n, "\r\n\r\n", 4), *cl;

	if (end == NULL)
		return false;
	a->text[a->n] = '\0';
	a->status = atoi(a->text + 9);
	cl = strcasestr(a->text, "\r\ncontent-length: ");
	a->body = end + 4;
	a->body_n = head || cl == NULL || cl > end ? 0 : strtoul(cl + 18, NULL, 10);
	if (a->status == 100) {
		a->n -= (size_t)(a->body - a->text);
		memmove(a->text, a->body, a->n);
		return complete(a, head);
	}
	return a->text + a->n >= a->body + a->body_n;
}

/* Reads one answer, or up to the end of the stream. */
static void hear(int fd, struct answer *a, bool to_end, bool head)
{
	memset(a, 0, sizeof *a);
	while ((to_end || !complete(a, head)) && readable(fd, 5000)) {
		ssize_t n = recv(fd, a->text + a->n, sizeof a->text - 1 - a->n, 0);

		if (n <= 0) {
			a->closed = true;
			break;
		}
		a->n += (size_t)n;
	}
	if (complete(a, head))
		a->garbage = a->text + a->n > a->body + a->body_n;
}

static void ask(const char *p, size_t n, struct answer *a, bool to_end)
{
	int fd = dial(&w.http);

	say(fd, p, n);
	hear(fd, a, to_end, false);
	close(fd);
}

#endif
