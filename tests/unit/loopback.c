#include "loopback.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

bool loopback_header(const struct loopback_request *q, const char *name, char *out, size_t cap)
{
	size_t n = strlen(name);

	for (const char *line = strstr(q->text, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, n) != 0 || line[n] != ':')
			continue;
		line += n + 1 + strspn(line + n + 1, " ");
		snprintf(out, cap, "%.*s", (int)strcspn(line, "\r"), line);
		return true;
	}
	return false;
}

/* The whole request into q->text; false when the client left. */
static bool read_request(int fd, struct loopback_request *q)
{
	size_t n = 0, want = sizeof q->text;
	char length[32];
	char *end;
	ssize_t got;

	q->body = "";
	while (n < want && n + 1 < sizeof q->text) {
		got = read(fd, q->text + n, sizeof q->text - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
		q->text[n] = '\0';
		end = strstr(q->text, "\r\n\r\n");
		if (end == NULL)
			continue;
		q->body = end + 4;
		want = (size_t)(q->body - q->text);
		if (loopback_header(q, "Content-Length", length, sizeof length))
			want += strtoul(length, NULL, 10);
	}
	return sscanf(q->text, "%15s %1023s", q->method, q->path) == 2;
}

static void write_answer(int fd, const struct loopback_answer *a)
{
	char head[2048];
	int n = snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nConnection: close\r\n%sContent-Length: %zu\r\n"
	    "\r\n", a->status, a->headers, strlen(a->body));

	if (write(fd, head, (size_t)n) != n || write(fd, a->body, strlen(a->body)) < 0)
		perror("loopback");
}

static void *serve(void *arg)
{
	struct loopback *l = arg;

	for (;;) {
		struct loopback_request q = { 0 };
		struct loopback_answer a = { .status = 200 };
		int fd = accept(l->fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (read_request(fd, &q)) {
			l->answer(l->ctx, &q, &a);
			__atomic_add_fetch(&l->requests, 1, __ATOMIC_SEQ_CST);
			if (a.status != 0)
				write_answer(fd, &a);
		}
		close(fd);
	}
}

void loopback_start(struct loopback *l,
    void (*answer)(void *ctx, const struct loopback_request *q, struct loopback_answer *a), void *ctx)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof sa;

	*l = (struct loopback){ .answer = answer, .ctx = ctx };
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(l->fd, 64) != 0 ||
	    getsockname(l->fd, (struct sockaddr *)&sa, &len) != 0 ||
	    pthread_create(&l->thread, NULL, serve, l) != 0) {
		perror("loopback");
		abort();
	}
	l->port = ntohs(sa.sin_port);
	snprintf(l->url, sizeof l->url, "http://127.0.0.1:%d", l->port);
}

void loopback_stop(struct loopback *l)
{
	shutdown(l->fd, SHUT_RDWR); /* wakes accept */
	pthread_join(l->thread, NULL);
	close(l->fd);
}
