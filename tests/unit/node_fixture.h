/* Nodes for tests, on threads of this process: a listener whose connections are served by a function of
 * the test, byte by byte as it likes; and one that speaks HTTP/2 and does as the path says. */
#ifndef TESTS_NODE_FIXTURE_H
#define TESTS_NODE_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NODE_CONNS 1024

struct node;
/* Serves connection number `nth` (from 0); closes nothing. */
typedef void node_serve(struct node *n, int fd, int nth);

struct node {
	int fd;
	uint16_t port;
	node_serve *serve;
	pthread_t accepting, serving[NODE_CONNS];
	struct node_conn {
		struct node *n;
		int fd, nth;
	} conns[NODE_CONNS];
	atomic_int accepted, requests, closed, streams, most_streams;
	atomic_int health; /* HTTP/2: HealthCheckResponse.status; 0: UNIMPLEMENTED */
	uint32_t max_streams; /* HTTP/2: what SETTINGS say; 0: nothing */
};

/* Listens on a free port of loopback. Asserts. */
void node_start(struct node *n, node_serve *serve);
/* Ends the listener and all connections, waits for their threads. */
void node_stop(struct node *n);
/* A port of loopback where nobody listens. */
uint16_t node_dead_port(void);

/* Reads one HTTP/1.1 request with its body into buf (NUL-terminated); its length, or 0 at the end of the
 * connection. Counts it. */
size_t node_read_request(struct node *n, int fd, char *buf, size_t cap);
void node_write(int fd, const char *text);

/* An HTTP/2 server; see node_fixture.c for what the paths do. */
node_serve node_http2;

#endif
