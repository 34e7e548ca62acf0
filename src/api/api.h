/* From a well-formed request to its answer, by the operation table: match, authenticate, authorize,
 * run on the right lane. One per worker; only its thread calls, except for `ctl`, which belongs to
 * the control lane. */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>

#include "request/request.h"

struct api;
struct config_list;
struct authn;
struct ctl;
struct obs_worker;
struct pool;
struct proxy;
struct role_set;

struct api_config {
	struct loop *loop;
	struct obs_worker *obs;
	struct authn *authn;
	struct proxy *proxy;
	struct pool *lane; /* control lane */
	struct ctl *ctl;
	size_t max_body; /* 0: no limit where a body streams */
	const struct config_list *cors_origins;
	/* Whether decisions may be made: false past authz.max_staleness. Any thread writes. */
	const _Atomic bool *state_fresh;
	const _Atomic bool *draining;
};

enum err api_new(const struct api_config *c, struct api **out);
void api_free(struct api *a);
/* Other values of these, from now on. */
void api_configure(struct api *a, size_t max_body, const struct config_list *cors_origins);

enum api_next {
	API_READ_BODY, /* call api_run when the body is in r->body, or r->in */
	API_ANSWERED   /* front->respond has been called: the body is not wanted */
};
/* The header is complete and checked. Finds the operation; refuses what can be refused early (404, 405,
 * 413, 415). Sets correlation id and trace. */
enum api_next api_start(struct api *a, struct request *r);
/* The body is complete; or, with op->large, FLOW_AFTER bytes of it have come and r->in brings all of it.
 * front->respond is called now or later. */
void api_run(struct api *a, struct request *r);

/* r is a part of an authenticated request and has its own operation, parameters and body: authorizes and
 * runs it. */
void api_run_part(struct api *a, struct request *r);

/* For handlers of the data lane. */
struct proxy *api_proxy(struct api *a);
struct ctl *api_ctl(struct api *a);
const struct api_config *api_config(const struct api *a);
/* Swaps the roles (takes the reference). */
void api_set_roles_take(struct api *a, struct role_set *r);
struct role_set *api_roles(struct api *a);

/* For fronts that must answer before there is a request: the envelope of a bare error. */
void api_write_envelope(enum err e, struct str request_id, struct buf *out);

#endif
