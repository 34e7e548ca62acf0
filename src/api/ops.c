/* The operation table. The order matters only for speed: what is called most comes first. */
#include "api/handlers.h"
#include "api/page.h"
#include "request/op.h"

static const char *const any_query[] = { "*", NULL };
static const char *const page_query[] = { PAGE_QUERY, NULL };
static const char *const can_query[] = { "right", "resource", NULL };

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

	/* ---- signing in ---- */
	{ .name = "auth.refresh", .method = M_POST, .path = "/v1/auth/refresh", .on = ON_EVERY,
	  CONTROL(op_auth_refresh), EVERYONE, .body = BODY_JSON, .status = 200, .no_store = true,
	  .request_schema = "RefreshRequest", .reply_schema = "TokenSet",
	  .help = "Trade a refresh token for its successor and a new access token" },
	{ .name = "auth.signin", .method = M_POST, .path = "/v1/auth/signin", .on = ON_EVERY,
	  CONTROL(op_auth_signin), EVERYONE, .body = BODY_JSON, .status = 200, .no_store = true,
	  .request_schema = "SigninRequest", .reply_schema = "TokenSet",
	  .help = "Sign in with e-mail and password" },
	{ .name = "auth.signup", .method = M_POST, .path = "/v1/auth/signup", .on = ON_EVERY,
	  CONTROL(op_auth_signup), EVERYONE, .body = BODY_JSON, .status = 201, .no_store = true,
	  .request_schema = "SignupRequest", .reply_schema = "SignupReply",
	  .help = "Make an account" },
	{ .name = "auth.signout", .method = M_POST, .path = "/v1/auth/signout", .on = ON_EVERY,
	  CONTROL(op_auth_signout), USER, .body = BODY_JSON, .status = 204,
	  .request_schema = "SignoutRequest",
	  .help = "End this session, or all sessions of the user" },
	{ .name = "auth.password", .method = M_POST, .path = "/v1/auth/password", .on = ON_EVERY,
	  CONTROL(op_auth_password), USER, .body = BODY_JSON, .status = 204, .mutates = true,
	  .request_schema = "ChangePasswordRequest",
	  .help = "Change the own password; ends the other sessions" },
	{ .name = "auth.sessions.list", .method = M_GET, .path = "/v1/auth/sessions", .on = ON_EVERY,
	  CONTROL(op_auth_sessions), USER, .status = 200, .query = page_query,
	  .reply_schema = "SessionList", .help = "The own live sessions" },
	{ .name = "auth.sessions.end", .method = M_DELETE, .path = "/v1/auth/sessions/{id}",
	  .on = ON_EVERY, CONTROL(op_auth_session_end), USER, .status = 204,
	  .help = "End one of the own sessions" },
	{ .name = "me", .method = M_GET, .path = "/v1/me", .on = ON_EVERY, CONTROL(op_me), ANYONE,
	  .status = 200, .reply_schema = "Me",
	  .help = "Who the caller is, its tenants, roles and rights" },
	{ .name = "me.can", .method = M_GET, .path = "/v1/me/can", .on = ON_EVERY,
	  CONTROL(op_me_can), ANYONE, .status = 200, .query = can_query, .reply_schema = "Can",
	  .help = "Whether the caller may use a right on a resource" },
	{ .name = "jwks", .method = M_GET, .path = "/.well-known/jwks.json", .on = ON_EVERY,
	  CONTROL(op_jwks), EVERYONE, .status = 200, .reply_schema = "Jwks",
	  .help = "The keys that access tokens are verified with" },

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
