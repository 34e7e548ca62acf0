/* One request and its answer on a client connection, and the stock of them on one worker: recycled,
 * so that a request costs no allocation of ours; counted, for draining; admitted by the process' gate.
 *
 * An exchange outlives its connection while a step still works on it (`conn` is then NULL), and the
 * stock outlives the front for the same reason. One thread: the worker's. */
#ifndef FRONT_EXCHANGE_H
#define FRONT_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "front/check.h"
#include "front/deadline.h"
#include "front/gate.h"
#include "front/grpc.h"
#include "request/request.h"

struct api;
struct http1_conn;
struct http2_conn;
struct http2_rpc;
struct obs_worker;
struct stock;
struct wire;

struct exchange {
	struct request r;
	struct stock *stock;
	struct exchange *next, *prev; /* spare ones; or the exchanges of one HTTP/2 connection */
	bool admitted; /* counts as one of limits.requests */
	bool started;  /* api_start was called: respond will come, or has come */
	bool complete; /* api_run was called: the body is here, or comes as r.in */
	bool answered; /* respond has come */
	const char *why; /* of E_BAD_REQUEST: a static text for the caller; NULL: it says enough */
	uint64_t length; /* of the body, as the head says; CHECK_CHUNKED: it does not say */
	size_t sent;   /* bytes of the reply's body that have gone out */
	union {
		struct {
			struct http1_conn *conn; /* NULL: the connection is gone */
			bool http_1_0;
		} h1;
		struct {
			struct http2_conn *conn; /* NULL: the connection is gone */
			int32_t stream;
			bool closed;         /* the stream is, but a step still works for it */
			enum err fault;      /* of the header block */
			size_t header_bytes;
			size_t held;         /* bytes of flow control that it has taken */
			size_t progress;     /* bytes of body, when the deadline was last set */
			size_t prepaid;      /* bytes of r.in whose flow control was given back already */
			bool grpc;
			struct http2_rpc *rpc; /* a call of several messages; NULL: one each way */
			struct grpc_reader reader;
			struct deadline deadline; /* for the body, for the sending, or for the rest of the body */
		} h2;
	};
};

struct stock {
	struct loop *loop;
	struct api *api;
	struct obs_worker *obs;
	struct exchange *spare;
	size_t nspare;
	size_t active;      /* exchanges between exchange_new and its end */
	struct gate_share gate;
	size_t max_body;    /* limits.body */
	bool closed;
};

enum err stock_new(struct loop *loop, struct api *api, struct obs_worker *obs, struct gate *gate,
    size_t max_body, struct stock **out);
/* The front is gone: the stock goes with the last active exchange. */
void stock_close(struct stock *s);

/* With r->loop, obs, api and the times filled in. NULL when out of memory. */
struct exchange *exchange_new(struct stock *s);
/* The answer is sent or can't be: request_finish and back to the stock. */
void exchange_finish(struct exchange *x);
/* The connection or stream is gone, `sent`: after all of the answer. Frees x, or tells the step that
 * works for it; respond will then come with x->r.client_gone. */
void exchange_lost(struct exchange *x, bool sent);
/* Tells that step, once. */
void exchange_gone(struct exchange *x);
/* Nothing is known of the request that would be worth a line in the log. */
void exchange_drop(struct exchange *x);
/* Answers with e, and with x->why. */
struct step exchange_fail(struct exchange *x, enum err e);
/* Notes what TLS on w knows of the caller; calls api_start, or answers `e` instead when it is not OK or
 * there are too many requests. Returns whether the body is wanted; a body that is too long already by
 * its head is answered here. */
bool exchange_start(struct exchange *x, struct wire *w, enum err e);

/* With n bytes more the body is too large to be gathered, and the operation takes it as it comes. */
bool exchange_large(const struct exchange *x, size_t n);
/* Calls api_run with r.in, which begins with what was gathered; `room` is its giver's, with x. E_NOMEM. */
enum err exchange_run_flow(struct exchange *x, void (*room)(struct flow *f, void *arg, size_t n));

static inline struct exchange *exchange_of(struct request *r)
{
	return (struct exchange *)r;
}

#endif
