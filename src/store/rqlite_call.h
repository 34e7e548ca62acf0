/* One call to an rqlite cluster: each attempt goes to one node; what may be repeated is repeated on the
 * next one until the call's time is over. And what calls learn of the cluster: its nodes, and which of
 * them to try first. What is said in a call is rqlite_wire.h's, what it means the engine's (rqlite.c).
 *
 * Leader calls ask for `redirect` and remember where it led. When that address can't be reached from
 * here (it is what the node advertises), the other nodes forward for a while. Blocks; any thread, but a
 * call is one thread's. */
#ifndef STORE_RQLITE_CALL_H
#define STORE_RQLITE_CALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "store/rqlite_http.h"

struct arena;
struct store_config;
struct store_rows;

#define RQLITE_NODES_MAX 16
#define RQLITE_BODY_MAX (64u << 20)

struct rqlite_nodes {
	struct http_pool *http;
	int64_t timeout_us, attempt_us;
	atomic_bool stop; /* calls end soon */
	atomic_bool linearizable;          /* the servers know this level */
	atomic_int_fast64_t forward_until; /* monotonic */
	atomic_size_t leader, nearest;     /* nodes to try first */
	pthread_mutex_t lock;              /* adding to node[] */
	atomic_size_t n;
	char *node[RQLITE_NODES_MAX]; /* "http://host:port"; the first nodes are the configured ones */
};

/* list: "http://a:4001,http://b:4001". E_CONFIG, E_NOMEM; release it also then. */
enum err rqlite_nodes_init(struct rqlite_nodes *ns, const struct store_config *c, const char *list,
    struct fail *f);
void rqlite_nodes_release(struct rqlite_nodes *ns);
/* Leaves a node that did not help, unless somebody else has already; which: &ns->leader or &ns->nearest. */
void rqlite_nodes_next(struct rqlite_nodes *ns, atomic_size_t *which, size_t from);

/* Its time, its answer, how it has gone so far. */
struct rqlite_call {
	struct rqlite_nodes *nodes;
	int64_t deadline; /* monotonic */
	int64_t pause;
	struct http_answer answer;
};

void rqlite_call_init(struct rqlite_call *c, struct rqlite_nodes *ns);
void rqlite_call_release(struct rqlite_call *c);
bool rqlite_call_over(const struct rqlite_call *c);
/* Waits a little, longer each time, not the same for everybody. */
void rqlite_call_pause(struct rqlite_call *c);
/* One attempt at the leader. */
enum http_result rqlite_call_leader(struct rqlite_call *c, const char *path, struct str body,
    struct fail *f);
/* n statements that may be repeated at will, until they are answered: by the leader, or by any node. */
enum err rqlite_call_ask(struct rqlite_call *c, bool leader, const char *path, struct str body, size_t n,
    struct arena *a, struct store_rows *out, struct fail *f);

#endif
