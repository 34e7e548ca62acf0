/* The life of one request, whatever brought it (HTTP/1.1 or HTTP/2): what the front read, what the
 * steps found out, what goes back, and its one end.
 *
 * A request belongs to the worker that read it. While it is on the control lane the control thread
 * owns it whole, and the worker touches nothing of it until it comes back through the inbox. */
#ifndef REQUEST_REQUEST_H
#define REQUEST_REQUEST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/jsonw.h"
#include "base/loop.h"
#include "base/pool.h"
#include "request/header.h"
#include "request/op.h"

struct flow;
struct obs_worker;
struct idempotency;
struct principal;
struct request;

/* What the front does for a request. Worker thread. */
struct request_front {
	/* r->reply is complete: send it, and call request_finish when it is sent or can't be. Called
	 * exactly once for each request that api_start accepted, at any time after that. */
	void (*respond)(struct request *r);
	/* For request_send; NULL where no operation streams. */
	enum err (*send)(struct request *r, struct str message);
	bool flows; /* takes r->reply.flow */
};

/* A gRPC call of several messages: what its operation does with what comes, from `run`, which sets r->stream
 * and suspends, until request_reply or request_fail ends the call with its status. Worker thread. */
struct request_stream {
	void (*message)(struct request *r, struct str message); /* the caller's next; valid in the call only */
	void (*end)(struct request *r);   /* the caller has said all */
	void (*drain)(struct request *r); /* the gateway shuts down: must end the call */
};

/* A step that must answer returns this; only request_reply, request_fail and request_suspend make
 * one, so a path that forgets to answer does not compile. */
struct step {
	unsigned char made;
};
#define STEP __attribute__((warn_unused_result)) struct step

#define REPLY_HEADERS 32

struct reply {
	int status;
	enum err err; /* OK, or what request_fail was given: for log, metrics, gRPC status */
	struct header h[REPLY_HEADERS];
	size_t nh;
	struct str content_type;
	struct str body;  /* stays valid until request_finish */
	struct flow *flow; /* instead of body, if the front takes it: the body as it comes */
	struct buf buf;   /* memory of bodies that are built here */
	bool grpc;        /* body is one protobuf message; the front frames it and adds trailers */
	int grpc_status;  /* trailer, when grpc */
	struct str grpc_message; /* not yet percent-encoded */
	bool begun;       /* request_send was called: the head is gone */
	bool close;       /* HTTP/1.1: end the connection after this */
};

enum auth_method {
	AUTH_NONE, AUTH_ACCESS_TOKEN, AUTH_EXTERNAL_JWT, AUTH_API_KEY, AUTH_BASIC, AUTH_CERTIFICATE,
	AUTH__COUNT
};
const char *auth_method_name(enum auth_method m); /* "access_token", ... for log and audit */

/* Who is calling, once authentication has said so. */
struct auth {
	enum auth_method method;
	struct principal *principal; /* a reference; NULL: nobody */
	bool has_session;
	struct id session;
	int64_t auth_time;  /* wall, microseconds: when the person last signed in */
	int64_t expires_at; /* wall, microseconds; 0: none */
	struct str amr;     /* "pwd", "pwd otp": space-separated; in the request's arena or constant */
	struct str scopes;  /* space-separated, of external tokens; STR_NONE: unrestricted */
};

/* Trace context (W3C Trace Context, 3.2). */
struct trace {
	uint8_t trace_id[16], parent_id[8], span_id[8];
	uint8_t flags;
	bool from_caller; /* the caller sent a well-formed traceparent */
};
#define TRACE_LEN 55
/* Writes the traceparent that says: caused by our span. 55 characters and a NUL. */
void trace_write(const struct trace *t, char out[TRACE_LEN + 1]);

struct request_cleanup {
	struct request_cleanup *next;
	void (*cb)(void *arg);
	void *arg;
};

struct request {
	/* ---- the front's, before api_start ---- */
	const struct request_front *front;
	struct loop *loop; /* of the worker that owns the request */
	struct arena arena;
	unsigned listener; /* ON_HTTP, ON_GRPC or ON_ADMIN */
	unsigned http_version; /* 1 or 2 */
	bool tls;
	const void *client_cert; /* gnutls_x509_crt_t when one was verified */
	struct sockaddr_storage peer;
	struct str method, target, authority; /* target: raw path and query */
	struct header *headers; /* all, in order, names lower-case */
	size_t nheaders, headers_cap;
	struct str known[HDR__COUNT]; /* first value; .p NULL when absent */
	uint8_t known_count[HDR__COUNT];
	struct buf body;
	struct flow *in; /* op->large: the body as it comes, instead of `body`; NULL: it is complete */
	int64_t started_mono, started_wall; /* microseconds */

	/* ---- found by the steps ---- */
	struct obs_worker *obs; /* NULL: a part of another request, which alone is counted and logged */
	struct api *api;
	const struct op *op; /* NULL: no operation matched */
	struct str path, query; /* raw */
	struct str param[OP_PARAMS]; /* path parameters, decoded */
	struct str tenant;  /* validated x-tenant-id, or of the scope */
	struct auth auth;
	struct trace trace;
	struct str correlation_id;
	int64_t deadline; /* what the caller allows: clock_mono, microseconds; 0: it did not say */
	int retry_after; /* seconds, when the credential comes too soon (E_RATE_LIMITED) */
	const void *roles; /* struct role_set reference of the decision; see authz */

	/* ---- the way back ---- */
	struct reply reply;
	int64_t not_before; /* clock_mono: the answer waits until then (api/hold.h) */
	bool replied, finished;
	bool client_gone; /* worker only: the front lost the client; the answer will be dropped */
	/* worker: called once when the client goes while the request is suspended; NULL: nobody asked */
	void (*on_gone)(struct request *r);
	struct request_cleanup *cleanups;
	struct loop_msg msg; /* for its way between the lanes */
	struct pool_job job;
	void *step_data; /* of the step that suspended it */
	const struct request_stream *stream; /* NULL: one message each way */
	const struct idempotency *idempotency; /* api/idempotency.h; NULL: no key was given */
	struct str audit_before, audit_after; /* api/audit_note.h; after: instead of the answer */
	struct request_cleanup audit_end;
	bool audited; /* its record is in the store */

	/* ---- for the access log ---- */
	struct str principal_id; /* text, in the arena; STR_NONE: nobody */
	struct str upstream; /* endpoint that answered */
	int64_t upstream_us;
	uint64_t bytes_out;
};

/* Prepares r; the front then fills in its part. The arena's memory is kept from use to use. */
void request_init(struct request *r);
/* Forgets everything but the arena's first chunk. After request_finish. */
void request_reset(struct request *r);
void request_release(struct request *r);

/* How large the body may be, by `limit` (limits.body; 0: none, but what is gathered is bounded). */
uint64_t request_body_max(const struct request *r, size_t limit);

/* Adds a header field; the name is lower-case, both live as long as the request. E_NOMEM, E_LIMIT. */
enum err request_add_field(struct request *r, struct str name, struct str value);
/* The same with a copy of the name, lower-cased. */
enum err request_add_header(struct request *r, struct str name, struct str value);
static inline struct str request_known(const struct request *r, enum header_id h)
{
	return r->known[h];
}
/* Whether the answer must be one of gRPC. */
static inline bool request_is_grpc(const struct request *r)
{
	return r->http_version == 2 && header_is_grpc(request_known(r, HDR_CONTENT_TYPE));
}
/* First field of that lower-case name, or STR_NONE. */
struct str request_header(const struct request *r, struct str name);
/* A component of a query or a form, percent-decoded (`+` is a blank) to UTF-8 without NUL, in the arena;
 * STR_NONE when broken or out of memory. */
struct str request_decode(struct request *r, struct str s);
/* The value of a query parameter, percent-decoded, in the arena; STR_NONE when absent or broken. */
struct str request_query(struct request *r, const char *name);
/* Correlation id and trace context from the headers, or new ones. */
void request_trace_start(struct request *r);
/* The source address as text (without port), in the arena. */
struct str request_source(struct request *r);

/* Runs cb(arg) when the request ends, newest first. E_NOMEM (cb is then run at once: for what is to be
 * released in any case). */
enum err request_on_finish(struct request *r, void (*cb)(void *), void *arg);
/* The same in memory that lives as long as the request, so it can't fail. */
void request_on_finish_in(struct request *r, struct request_cleanup *c, void (*cb)(void *), void *arg);

/* ---- answering ------------------------------------------------------------------------------ */

/* A reply header; name lower-case, both constant or in the arena. Past REPLY_HEADERS: E_LIMIT. */
enum err reply_header(struct request *r, struct str name, struct str value);

/* Worker only: the answer as it stands in r->reply goes to the front. */
STEP request_reply(struct request *r);
/* Worker only: an envelope (or problem+json, or a gRPC status) for f or for the bare code. */
STEP request_fail(struct request *r, const struct fail *f);
STEP request_fail_code(struct request *r, enum err e);
/* Worker only, of a streaming operation: a message before the end. E_LIMIT: the caller does not read what
 * it is sent; E_NOMEM. The call must be failed then. */
enum err request_send(struct request *r, struct str message);
/* Worker only: somebody else will call request_reply or request_fail later. */
STEP request_suspend(struct request *r);
/* A suspended request is answered outside of a step. */
static inline void step_done(struct step s)
{
	(void)s;
}

/* Any lane: sets r->reply to a JSON body that the caller writes on the returned writer.
 * 64 MiB at most. */
struct jsonw request_json(struct request *r, int status);
/* Any lane: sets r->reply to the error without sending it. */
void reply_set_fail(struct request *r, const struct fail *f);

/* The one end: access log, metrics, clean-ups, release of references. Worker only, once; called by the
 * front. The front then resets or releases the request. */
void request_finish(struct request *r);

#endif
