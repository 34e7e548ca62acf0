/* A small HTTP server on loopback for tests of clients: a thread of its own answers one request at a
 * time by what a function of the test says. */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct loopback_request {
	char method[16], path[1024];
	char text[16384];   /* the header section as it came */
	const char *body;   /* NUL-terminated, behind it */
};

struct loopback_answer {
	int status; /* 0: close without an answer */
	char headers[1024]; /* "name: value\r\n"... */
	char body[8192];
};

struct loopback {
	int fd;
	int port;
	char url[64];
	pthread_t thread;
	void (*answer)(void *ctx, const struct loopback_request *q, struct loopback_answer *a);
	void *ctx;
	int requests; /* answered so far; read it after loopback_stop or between calls */
};

/* Aborts the test when it cannot listen. */
void loopback_start(struct loopback *l,
    void (*answer)(void *ctx, const struct loopback_request *q, struct loopback_answer *a), void *ctx);
void loopback_stop(struct loopback *l);
/* The value of a header, into out; false when it is not there. */
bool loopback_header(const struct loopback_request *q, const char *name, char *out, size_t cap);

#endif
