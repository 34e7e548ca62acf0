/* A TCP proxy on loopback that loses what a node answers, or holds requests back. Each connection carries
 * one HTTP request, then ends. */
#ifndef TESTS_LOSSY_PROXY_H
#define TESTS_LOSSY_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define LOSSY_CONNS 4096

struct lossy_proxy {
	int port;
	atomic_int eat;         /* so many answers are lost from now on */
	atomic_int hold;        /* so many requests are kept until it stops */
	atomic_int eaten, held; /* how many were */

	int listener, upstream;
	atomic_bool stop;
	pthread_t thread;
	struct lossy_conn {
		struct lossy_proxy *proxy;
		int client;
		pthread_t thread;
	} conns[LOSSY_CONNS];
	int n;
};

/* In front of what listens on that port of loopback. Asserts. */
void lossy_proxy_start(struct lossy_proxy *p, int upstream);
/* Lets go what it holds, and waits until all has been passed on. The counts stay. */
void lossy_proxy_stop(struct lossy_proxy *p);

#endif
