/* A real loop with an upstream on it, up to two nodes of the test, and calls whose ends are kept. */
#ifndef TESTS_UPSTREAM_FIXTURE_H
#define TESTS_UPSTREAM_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "node_fixture.h"
#include "upstream/upstream.h"

#define PATIENCE (20 * CLOCK_SEC)
#define MAX_CALLS 64

/* One call and what its callback saw. */
struct seen {
	struct fixture *fx;
	struct upstream_call *call;
	bool sent, done, cancel_others; /* sent, and expected to end */
	enum err err;
	int status;
	bool reached;
	unsigned tries;
	char body[256], endpoint[64], header[64], message[64];
	int grpc_status;
	size_t body_n;
	struct buf taken;
};

struct fixture {
	struct loop *loop;
	struct upstream *up;
	struct upstream_config config;
	struct loop_timer patience;
	struct route_endpoint ep[3];
	char urls[3][64];
	struct route_shard shard;
	struct upstream_request q;
	struct seen seen[MAX_CALLS];
	bool gave_up, sending;
	struct node a, b;
	bool has_a, has_b;
};

int upstream_set_up(void **state);
int upstream_tear_down(void **state);
/* An endpoint of the shard; gRPC when fx->q is. */
void fixture_add(struct fixture *fx, uint16_t port, unsigned weight);
/* A node and its endpoint. */
void fixture_start_a(struct fixture *fx, node_serve *serve);
void fixture_start_b(struct fixture *fx, node_serve *serve);
/* Sends fx->q as call i. The upstream is made with fx->config when there is none. */
struct seen *fixture_send(struct fixture *fx, size_t i);
/* Turns the loop for as long, or until a callback comes. */
void fixture_turn(struct fixture *fx, int64_t us);
/* Until the call has ended; until all have. */
void fixture_wait(struct fixture *fx, const struct seen *s);
void fixture_wait_all(struct fixture *fx);
/* Until the node has counted that far. */
void fixture_wait_count(struct fixture *fx, atomic_int *count, int n);
/* Sends call 0 and waits for its end. */
struct seen *fixture_call(struct fixture *fx);
/* The value of the sample that begins so, 0 when there is none. */
uint64_t fixture_metric(struct fixture *fx, const char *sample);

bool fixture_has_sample(struct fixture *fx, const char *text);

/* Nodes: one that answers all with OK_ANSWER, one that takes all and answers nothing. */
#define OK_ANSWER "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-node: 1\r\n\r\nok"
node_serve serve_well, serve_silence;

#define TEST(t) cmocka_unit_test_setup_teardown(t, upstream_set_up, upstream_tear_down)

#endif
