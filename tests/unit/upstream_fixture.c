#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "upstream_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void patience_cb(struct loop_timer *t)
{
	struct fixture *fx = (struct fixture *)((char *)t - offsetof(struct fixture, patience));

	fx->gave_up = true;
	loop_stop(fx->loop);
}

int upstream_set_up(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	fx->config = (struct upstream_config){
		.connect_timeout_us = 2 * CLOCK_SEC, .first_byte_timeout_us = 10 * CLOCK_SEC,
		.total_timeout_us = 15 * CLOCK_SEC, .idle_timeout_us = 30 * CLOCK_SEC,
		.max_connections = 16, .max_response = 4 << 20, .retry_percent = 10,
	};
	fx->patience.cb = patience_cb;
	fx->shard = (struct route_shard){ ROUTE_PROJECTION, STR("p1"), fx->ep, 0 };
	fx->q = (struct upstream_request){ .shard = &fx->shard, .method = STR("POST"),
	    .path = STR("/q"),
		.body = STR("{}"), .idempotent = true };
	assert_int_equal(loop_new(&fx->loop), OK);
	*state = fx;
	return 0;
}

int upstream_tear_down(void **state)
{
	struct fixture *fx = *state;

	upstream_free(fx->up);
	loop_free(fx->loop);
	if (fx->has_a)
		node_stop(&fx->a);
	if (fx->has_b)
		node_stop(&fx->b);
	for (size_t i = 0; i < MAX_CALLS; i++)
		buf_release(&fx->seen[i].taken);
	free(fx);
	return 0;
}

void fixture_add(struct fixture *fx, uint16_t port, unsigned weight)
{
	size_t i = fx->shard.n++;

	snprintf(fx->urls[i], sizeof fx->urls[i], "%s://127.0.0.1:%u",
	    fx->q.grpc ? "grpc" : "http", port);
	fx->ep[i] = (struct route_endpoint){
		.url = str_c(fx->urls[i]),
		.scheme = fx->q.grpc ? SCHEME_GRPC : SCHEME_HTTP,
		.host = STR("127.0.0.1"),
		.port = port,
		.base = STR(""),
		.admin = str_c(fx->urls[i]),
		.weight = weight,
	};
}

void fixture_start_a(struct fixture *fx, node_serve *serve)
{
	node_start(&fx->a, serve);
	fx->has_a = true;
	fixture_add(fx, fx->a.port, 1);
}

void fixture_start_b(struct fixture *fx, node_serve *serve)
{
	node_start(&fx->b, serve);
	fx->has_b = true;
	fixture_add(fx, fx->b.port, 1);
}

static void copy_text(char *to, size_t cap, struct str s)
{
	size_t n = s.n < cap - 1 ? s.n : cap - 1;

	if (n > 0)
		memcpy(to, s.p, n);
	to[n] = '\0';
}

static void answered(void *arg, const struct upstream_response *r)
{
	struct seen *s = arg;

	assert_false(s->done);
	s->done = true;
	s->err = r->err;
	s->status = r->status;
	s->reached = r->reached;
	s->tries = r->tries;
	s->body_n = r->body.n;
	copy_text(s->body, sizeof s->body, r->body);
	copy_text(s->endpoint, sizeof s->endpoint, r->endpoint);
	s->grpc_status = r->grpc_status;
	copy_text(s->message, sizeof s->message, r->grpc_message);
	copy_text(s->header, sizeof s->header, r->nheaders > 0 ? r->headers[0].name : STR_NONE);
	if (r->err == OK)
		upstream_body_take(r, &s->taken);
	for (size_t i = 0; s->cancel_others && i < MAX_CALLS; i++) {
		struct seen *o = &s->fx->seen[i];

		if (o != s && o->call != NULL && !o->done) {
			upstream_cancel(o->call);
			o->call = NULL;
			o->sent = false;
		}
	}
	if (!s->fx->sending) /* else the next turn would end before it began */
		loop_stop(s->fx->loop);
}

struct seen *fixture_send(struct fixture *fx, size_t i)
{
	struct seen *s = &fx->seen[i];

	if (fx->up == NULL)
		assert_int_equal(upstream_new(&fx->config, fx->loop, &fx->up), OK);
	buf_release(&s->taken);
	memset(s, 0, sizeof *s);
	buf_init(&s->taken, 8 << 20);
	s->fx = fx;
	s->sent = true;
	fx->sending = true;
	upstream_send(fx->up, &fx->q, answered, s, &s->call);
	fx->sending = false;
	return s;
}

/* Turns the loop for as long, or until a callback comes. */
void fixture_turn(struct fixture *fx, int64_t us)
{
	fx->gave_up = false;
	assert_int_equal(loop_timer_set(fx->loop, &fx->patience, us), OK);
	loop_run(fx->loop);
	loop_timer_clear(fx->loop, &fx->patience);
}

/* Until the call has ended. */
void fixture_wait(struct fixture *fx, const struct seen *s)
{
	while (!s->done) {
		fixture_turn(fx, PATIENCE);
		assert_false(fx->gave_up);
	}
}

void fixture_wait_all(struct fixture *fx)
{
	for (size_t i = 0; i < MAX_CALLS; i++)
		if (fx->seen[i].sent)
			fixture_wait(fx, &fx->seen[i]);
}

/* Until the node has counted that far. */
void fixture_wait_count(struct fixture *fx, atomic_int *count, int n)
{
	for (int i = 0; *count < n && i < 2000; i++)
		fixture_turn(fx, 10 * CLOCK_MS);
	assert_true(*count >= n);
}

/* Sends one call and waits for its end. */
struct seen *fixture_call(struct fixture *fx)
{
	struct seen *s = fixture_send(fx, 0);

	fixture_wait(fx, s);
	return s;
}

uint64_t fixture_metric(struct fixture *fx, const char *sample)
{
	struct buf b;
	const char *at;
	uint64_t v = 0;

	buf_init(&b, 1 << 20);
	upstream_write_metrics(&fx->up, 1, &b);
	at = strstr(buf_cstr(&b), sample);
	if (at != NULL)
		v = strtoull(at + strlen(sample), NULL, 10);
	buf_release(&b);
	return v;
}

bool fixture_has_sample(struct fixture *fx, const char *text)
{
	struct buf b;
	bool has;

	buf_init(&b, 1 << 20);
	upstream_write_metrics(&fx->up, 1, &b);
	has = strstr(buf_cstr(&b), text) != NULL;
	buf_release(&b);
	return has;
}

void serve_well(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		node_write(fd, OK_ANSWER);
}

void serve_silence(struct node *n, int fd, int nth)
{
	char in[4096];

	(void)nth;
	while (node_read_request(n, fd, in, sizeof in) > 0)
		;
}
