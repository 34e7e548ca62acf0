/* Proxying: commands, queries and node administration from a decided request to the node that holds
 * the tenant, and the answer back. Builds every header that a node sees; nothing of the caller's is
 * passed on unless it is named here. Worker thread. */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "request/request.h"

struct fail;
struct proxy;
struct route_table;
struct upstream;

struct proxy_config {
	int64_t timeout_us; /* of a request whose caller set no limit, and the most that one may set */
};

enum err proxy_new(const struct proxy_config *c, struct loop *loop, struct upstream *up,
    struct obs_worker *obs, struct proxy **out);
void proxy_free(struct proxy *p);
/* For requests that begin from now on. */
void proxy_configure(struct proxy *p, const struct proxy_config *c);
/* Swaps the routing snapshot (takes the reference) between two requests. */
void proxy_set_routes_take(struct proxy *p, struct route_table *t);
const struct route_table *proxy_routes(const struct proxy *p);

/* Data-lane handlers. r->tenant, r->auth, r->param are set. */
STEP proxy_query(struct proxy *p, struct request *r);        /* param 0: view type */
STEP proxy_command(struct proxy *p, struct request *r);      /* param 0, 1: aggregate type, id */
STEP proxy_grpc_command(struct proxy *p, struct request *r); /* body: SubmitCommandRequest */
/* Reads the aggregate type out of the SubmitCommandRequest in r->body, for the decision that comes before
 * proxy_grpc_command. A view into the body. E_BAD_REQUEST when it is not such a message. */
enum err proxy_grpc_peek(struct request *r, struct str *aggregate_type, struct fail *f);
/* Before authorization: checks the message in r->body and finds its aggregate_type, a view of it.
 * E_BAD_REQUEST: not a SubmitCommandRequest, or a field that the gateway checks is wrong. */
enum err proxy_grpc_peek(struct request *r, struct str *aggregate_type, struct fail *f);
STEP proxy_runner(struct proxy *p, struct request *r);       /* r->path behind /admin/runner */

#endif
