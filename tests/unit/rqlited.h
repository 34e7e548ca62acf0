/* A small rqlite cluster of real nodes on loopback, for tests: free ports, a temporary folder,
 * short election times. Ends with the test program, also when that is killed. Not thread-safe. */
#ifndef TESTS_RQLITED_H
#define TESTS_RQLITED_H

#include <stdbool.h>
#include <sys/types.h>

#define RQLITED_MAX 5

struct rqlited_node {
	pid_t pid; /* 0: not running */
	int http, raft;
};

struct rqlited {
	char dir[64];
	int n;
	struct rqlited_node node[RQLITED_MAX];
	char url[512]; /* "rqlite:http://127.0.0.1:p,..." of all nodes */
	bool astray;
	bool tls;      /* https; dir has ca.pem, client.pem and client.key, and the nodes insist on them */
};

/* Starts n nodes and waits until all have joined and one leads. Fails the running test otherwise. */
void rqlited_start(struct rqlited *c, int n);
void rqlited_start_tls(struct rqlited *c, int n);
/* The nodes tell clients HTTP addresses at which nobody is. */
void rqlited_start_astray(struct rqlited *c, int n);
void rqlited_stop(struct rqlited *c);
/* The index of the node that leads, by what a majority says; waits for one, fails the test after 30 s. */
int rqlited_leader(struct rqlited *c);
/* Waits until the node answers /readyz. */
void rqlited_wait_ready(struct rqlited *c, int i);
/* SIGKILL; the files stay. rqlited_restart starts it again on them. */
void rqlited_kill(struct rqlited *c, int i);
void rqlited_restart(struct rqlited *c, int i);
/* SIGSTOP and SIGCONT. */
void rqlited_pause(struct rqlited *c, int i);
void rqlited_resume(struct rqlited *c, int i);

/* A TCP port of loopback that is free now. */
int free_port(void);

#endif
