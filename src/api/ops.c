/* The operation table. The order matters only for speed: what is called most comes first. */
#include "api/handlers.h"
#include "request/op.h"

static const char *const any_query[] = { "*", NULL };

#define DATA(h) .lane = LANE_DATA, .run = (h)
#define CONTROL(h) .lane = LANE_CONTROL, .control = (h)
#define RIGHT(r) .who = WHO_RIGHT, .right = (r), .resource = -1
#define RIGHT_ON(r, param) .who = WHO_RIGHT, .right = (r), .resource = (param)
#define EVERYONE .who = WHO_ALL, .resource = -1
#define ANYONE .who = WHO_ANY, .resource = -1
#define USER .who = WHO_USER, .resource = -1

const struct op ops_all[] = {
	/* ---- the data lane ---- */
	{ .name = "query.execute", .method = M_POST, .path = "/v1/query/{view_type}",
	  .on = ON_PUBLIC, DATA(op_query), RIGHT_ON("query.execute", 0), .tenant = TENANT_HEADER,
	  .body = BODY_JSON, .status = 200, .help = "Run a query on the tenant's projection node" },
	{ .name = "command.submit", .method = M_POST,
	  .path = "/v1/commands/{aggregate_type}/{aggregate_id}", .on = ON_PUBLIC,
	  DATA(op_command), RIGHT_ON("command.submit", 0), .tenant = TENANT_HEADER,
	  .body = BODY_JSON, .status = 200, .request_schema = "Command",
	  .reply_schema = "CommandResult", .help = "Submit a command to the tenant's aggregate node" },
	{ .name = "grpc.command.submit", .method = M_POST,
	  .path = "/aggregate.gateway.v1.CommandService/SubmitCommand", .on = ON_GRPC,
	  DATA(op_grpc_command), RIGHT("command.submit"), .tenant = TENANT_HEADER,
	  .body = BODY_GRPC, .status = 200, .help = "Submit a command over gRPC" },
	{ .name = "runner.admin.get", .method = M_GET, .path = "/admin/runner/*", .on = ON_ADMIN,
	  DATA(op_runner), RIGHT("runner.admin"), .tenant = TENANT_HEADER, .body = BODY_NONE,
	  .status = 200, .query = any_query, .help = "Read from the runner node's admin API" },
	{ .name = "runner.admin.post", .method = M_POST, .path = "/admin/runner/*", .on = ON_ADMIN,
	  DATA(op_runner), RIGHT("runner.admin"), .tenant = TENANT_HEADER, .body = BODY_JSON,
	  .status = 200, .mutates = true, .query = any_query,
	  .help = "Post to the runner node's admin API" },
	{ .name = "runner.admin.put", .method = M_PUT, .path = "/admin/runner/*", .on = ON_ADMIN,
	  DATA(op_runner), RIGHT("runner.admin"), .tenant = TENANT_HEADER, .body = BODY_JSON,
	  .status = 200, .mutates = true, .query = any_query,
	  .help = "Put to the runner node's admin API" },
	{ .name = "runner.admin.delete", .method = M_DELETE, .path = "/admin/runner/*",
	  .on = ON_ADMIN, DATA(op_runner), RIGHT("runner.admin"), .tenant = TENANT_HEADER,
	  .body = BODY_NONE, .status = 200, .mutates = true, .query = any_query,
	  .help = "Delete on the runner node's admin API" },

	/* ---- probes ---- */
	{ .name = "health", .method = M_GET, .path = "/health", .on = ON_EVERY, DATA(op_health),
	  EVERYONE, .status = 200, .reply_schema = "Status", .help = "The process is alive" },
	{ .name = "ready", .method = M_GET, .path = "/ready", .on = ON_EVERY, DATA(op_ready),
	  EVERYONE, .status = 200, .reply_schema = "Status",
	  .help = "The gateway can serve; 503 names the check that fails" },
	{ .name = "metrics", .method = M_GET, .path = "/metrics", .on = ON_ADMIN,
	  CONTROL(op_metrics), EVERYONE, .status = 200, .help = "Prometheus metrics" },
};

const size_t ops_count = sizeof ops_all / sizeof *ops_all;
