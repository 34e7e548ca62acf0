/* One row of the operation table (api/ops.c): everything that is known of an operation before a
 * request of it arrives. Dispatch, 405 and Allow, authorization, limits, metrics labels, OpenAPI and
 * the test that no operation is unguarded come from it; a handler never checks method or right.
 * Constant data. */
#ifndef REQUEST_OP_H
#define REQUEST_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct api;
struct ctl;
struct request;
struct resource;
struct scope;
struct step;

enum method { M_GET, M_HEAD, M_POST, M_PUT, M_PATCH, M_DELETE, M_OPTIONS, M__COUNT };

enum op_lane { LANE_DATA, LANE_CONTROL };

/* Who may call. */
enum op_who {
	WHO_ALL,     /* no credential is looked at */
	WHO_ANY,     /* any authenticated principal */
	WHO_USER,    /* an authenticated user with a session */
	WHO_SERVICE, /* presents client credentials itself; the handler authenticates */
	WHO_RIGHT    /* any principal with `right` in the scope of `tenant` */
};

/* In which tenant `right` must be held. */
enum op_tenant {
	TENANT_NONE,   /* not tenant-scoped: the right must be held platform-wide */
	TENANT_HEADER, /* x-tenant-id, required */
	TENANT_SCOPE,  /* `scope` resolves it from path, body or store (control lane) */
	TENANT_LIST    /* ?tenant=; left out: platform-wide */
};

enum op_body { BODY_NONE, BODY_JSON, BODY_FORM, BODY_GRPC };

/* Bits: the listeners on which the operation exists. */
enum { ON_HTTP = 1, ON_GRPC = 2, ON_ADMIN = 4, ON_PUBLIC = ON_HTTP | ON_GRPC, ON_EVERY = 7 };

/* op.resource, when it is not the index of a path parameter. */
enum {
	RESOURCE_NONE = -1,
	RESOURCE_OF_ITEMS = -2 /* the request is a batch; the handler has each item authorized by its own row */
};

#define OP_PARAMS 3 /* path parameters at most */

struct op {
	const char *name; /* stable, "auth.signin": OpenAPI operationId, metrics and log label */
	enum method method;
	const char *path; /* template: "/admin/users/{id}/sessions"; a final "*" takes the rest */
	unsigned on;
	enum op_lane lane;
	enum op_who who;
	const char *right;          /* WHO_RIGHT: "command.submit" */
	int resource;               /* path parameter that is the right's resource, or RESOURCE_... */
	enum op_tenant tenant;
	enum op_body body;
	bool stream;                /* gRPC with several messages: request_stream; WHO_ALL on LANE_DATA only */
	bool large;                 /* LANE_DATA: a body past FLOW_AFTER comes as r->in, while the rest arrives */
	int status;                 /* of success, for control handlers and OpenAPI */
	bool mutates;               /* leaves an audit record */
	bool hashes;                /* a password, always: refused on the worker while no hash is to be had */
	const char *cache;          /* LANE_CONTROL: cache-control of a success; NULL: no-store, as of any failure */
	const char *const *query;   /* query parameters that are known, NULL-terminated; NULL: none */
	/* LANE_DATA: on the worker; returns what reply, fail or suspend gave it */
	struct step (*run)(struct api *api, struct request *r);
	/* LANE_CONTROL: on a control thread; may block. OK: what it wrote with request_json is the
	 * answer, with `status` unless it set another. Else the envelope of f. */
	enum err (*control)(struct ctl *ctl, struct request *r, struct fail *f);
	/* TENANT_SCOPE: on a control thread, before `control` */
	enum err (*scope)(struct ctl *ctl, struct request *r, struct scope *s, struct fail *f);
	const struct resource *of; /* the kind of resource, api/resource.h; NULL: none that is handled alike */
	const char *request_schema, *reply_schema; /* names in schema/openapi.yaml; NULL: none */
	const char *help;           /* one sentence */
};

/* The table: n rows; index i of ops_all[i] is the metrics slot. */
extern const struct op ops_all[];
extern const size_t ops_count;

const char *method_name(enum method m);

#endif
