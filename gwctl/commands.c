#include "command.h"

#include "gwctl.h"

/* ---- what arguments are made of ---- */

#define OPERAND(name_, to_, field_, help_) \
	{ .name = (name_), .type = ARG_TEXT, .to = (to_), .field = (field_), .required = true, \
	  .help = (help_) }
#define OPERAND_USER(name_, to_, field_, help_) \
	{ .name = (name_), .type = ARG_USER, .to = (to_), .field = (field_), .required = true, \
	  .help = (help_) }
#define OPTION(name_, type_, value_, to_, field_, help_) \
	{ .name = (name_), .type = (type_), .value = (value_), .to = (to_), .field = (field_), \
	  .help = (help_) }
#define REQUIRED(name_, type_, value_, to_, field_, help_) \
	{ .name = (name_), .type = (type_), .value = (value_), .to = (to_), .field = (field_), \
	  .required = true, .help = (help_) }
#define FLAG(name_, to_, field_, help_) \
	{ .name = (name_), .type = ARG_FLAG, .to = (to_), .field = (field_), .help = (help_) }
#define END { .name = NULL }
#define ARGS(...) (const struct arg[]){ __VA_ARGS__, END }

#define TENANT_FILTER OPTION("--tenant", ARG_TEXT, "TENANT", TO_QUERY, "tenant", \
	"only of this tenant; only a platform admin may leave it out")
#define PASSWORD_FILE(help_) OPTION("--password-file", ARG_SECRET, "FILE", TO_COMMAND, NULL, help_)
#define STORE \
	OPTION("--store", ARG_TEXT, "URL", TO_COMMAND, NULL, "sqlite:PATH or rqlite:URL[,URL...]"), \
	OPTION("--config", ARG_TEXT, "FILE", TO_COMMAND, NULL, "take store.* from a gateway.yaml")

const struct arg global_args[] = {
	{ .name = "--context", .value = "NAME", .type = ARG_TEXT, .help = "use this stored session" },
	{ .name = "--server", .value = "URLS", .type = ARG_TEXT,
	  .help = "admin address of the gateway; several by comma" },
	{ .name = "--ca", .value = "FILE", .type = ARG_TEXT,
	  .help = "authorities (PEM) that the gateway's certificate is verified against" },
	{ .name = "-o", .letter = 'o', .value = "FORMAT", .type = ARG_TEXT,
	  .words = "table|json|jsonl|yaml|name", .help = "output format" },
	{ .name = "--version", .type = ARG_FLAG, .help = "print the version" },
	{ .name = "--help", .letter = 'h', .type = ARG_FLAG, .help = "print help" },
	END,
};

const struct arg arg_yes = { .name = "--yes", .letter = 'y', .type = ARG_FLAG,
	.help = "don't ask; needed to remove or end something without a terminal" };
const struct arg arg_dry_run = { .name = "--dry-run", .type = ARG_FLAG,
	.help = "print what would be done, and do nothing" };
const struct arg arg_limit = { .name = "--limit", .value = "N", .type = ARG_INT,
	.help = "at most N rows; all otherwise" };
const struct arg arg_if_match = { .name = "--if-match", .value = "ETAG", .type = ARG_TEXT,
	.help = "only when the resource still has this etag" };

const struct noun nouns[] = {
	{ "login", "sign in and store the session as a context" },
	{ "logout", "end the session and forget it" },
	{ "whoami", "who you are and what you may do" },
	{ "context", "stored servers and sessions" },
	{ "tenant", "tenants" },
	{ "user", "people" },
	{ "role", "sets of rights" },
	{ "right", "what can be granted" },
	{ "assignment", "who has which role in which tenant" },
	{ "service-account", "machines and what they prove themselves with" },
	{ "session", "sign-ins of a user" },
	{ "key", "keys that sign access tokens" },
	{ "routing", "where tenants live" },
	{ "authz", "decisions explained" },
	{ "db", "the store's schema, without a server" },
	{ "admin", "the first platform admin, without a server" },
	{ "completion", "completion script of a shell" },
	{ "version", "print the version" },
	END,
};

/* ---- the table ---- */

#define TENANT_COLUMNS "id,name,disabled,created_at"
#define USER_COLUMNS "id,email,display_name,disabled,created_at"
#define ROLE_COLUMNS "id,name,tenant,built_in,rights[].right"
#define ASSIGNMENT_COLUMNS "id,principal,tenant,role"
#define ACCOUNT_COLUMNS "id,name,tenant,disabled,created_at"
#define CREDENTIAL_COLUMNS "id,kind,issuer,subject,expires_at,last_used_at,created_at"
#define SESSION_COLUMNS "id,ip,user_agent,created_at,last_used_at,current"
#define KEY_COLUMNS "kid,alg,state,created_at,not_after"
#define REVISION_COLUMNS "revision,at,author,note"

const struct command commands[] = {
	{ "login", NULL, "sign in at a gateway and store the session as a context",
	  ARGS(REQUIRED("--email", ARG_TEXT, "E-MAIL", TO_COMMAND, NULL, "who signs in"),
	      PASSWORD_FILE("file with the password in its first line, - for stdin; asked for otherwise"),
	      OPTION("--code-file", ARG_SECRET, "FILE", TO_COMMAND, NULL,
	          "file with the code of the second factor, - for stdin; asked for otherwise")),
	  .columns = "context,email,expires_at", .run = login_run },
	{ "logout", NULL, "end the session of the context and forget it",
	  ARGS(FLAG("--everywhere", TO_COMMAND, NULL, "end all your sessions")), CMD_CHANGES,
	  .columns = "context", .run = logout_run },
	{ "whoami", NULL, "print who you are, your tenants, roles and rights", NULL,
	  .method = "GET", .path = "/v1/me", .columns = "id,kind,email", .run = rest_run },

	{ "context", "list", "list contexts; * is the current one", NULL, CMD_OFFLINE,
	  .columns = "name,current,servers,email", .run = context_list_run },
	{ "context", "show", "print the context in use", NULL, CMD_OFFLINE,
	  .columns = "name,servers,email", .run = context_show_run },
	{ "context", "use", "make a context the current one",
	  ARGS(OPERAND("NAME", TO_COMMAND, NULL, "of a context")), CMD_CHANGES | CMD_OFFLINE,
	  .columns = "name", .run = context_use_run },
	{ "context", "delete", "forget a context; its session is not ended",
	  ARGS(OPERAND("NAME", TO_COMMAND, NULL, "of a context")), CMD_CHANGES | CMD_OFFLINE,
	  .columns = "name", .run = context_delete_run },

	{ "tenant", "list", "list tenants", NULL, CMD_LIST,
	  "GET", "/admin/tenants", NULL, TENANT_COLUMNS, rest_run },
	{ "tenant", "get", "print a tenant", ARGS(OPERAND("ID", TO_PATH, NULL, "of the tenant")), 0,
	  "GET", "/admin/tenants/{ID}", NULL, TENANT_COLUMNS, rest_run },
	{ "tenant", "create", "make a tenant",
	  ARGS(OPERAND("ID", TO_BODY, "id", "lower-case letters, digits and hyphens"),
	      OPTION("--name", ARG_TEXT, "NAME", TO_BODY, "name", "for people")), CMD_CHANGES,
	  "POST", "/admin/tenants", NULL, TENANT_COLUMNS, rest_run },
	{ "tenant", "update", "change a tenant",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the tenant"),
	      OPTION("--name", ARG_TEXT, "NAME", TO_BODY, "name", "for people")),
	  CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/tenants/{ID}", NULL, TENANT_COLUMNS, rest_run },
	{ "tenant", "disable", "let nobody do anything in a tenant",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the tenant")), CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/tenants/{ID}", "{\"disabled\":true}", TENANT_COLUMNS, rest_run },
	{ "tenant", "enable", "open a tenant again",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the tenant")), CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/tenants/{ID}", "{\"disabled\":false}", TENANT_COLUMNS, rest_run },
	{ "tenant", "delete", "remove a tenant with its assignments",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the tenant")), CMD_DESTROYS | CMD_IF_MATCH,
	  "DELETE", "/admin/tenants/{ID}", NULL, "id", rest_run },

	{ "user", "list", "list users", ARGS(TENANT_FILTER,
	      OPTION("--email", ARG_TEXT, "E-MAIL", TO_QUERY, "email", "only the one with this address")),
	  CMD_LIST, "GET", "/admin/users", NULL, USER_COLUMNS, rest_run },
	{ "user", "get", "print a user", ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), 0,
	  "GET", "/admin/users/{USER}", NULL, USER_COLUMNS, rest_run },
	{ "user", "create", "make a user",
	  ARGS(REQUIRED("--email", ARG_TEXT, "E-MAIL", TO_BODY, "email", "what the user signs in with"),
	      OPTION("--display-name", ARG_TEXT, "NAME", TO_BODY, "display_name", "for people"),
	      OPTION("--password-file", ARG_SECRET, "FILE", TO_BODY, "password",
	          "file with the password in its first line, - for stdin; no password otherwise")),
	  CMD_CHANGES, "POST", "/admin/users", NULL, USER_COLUMNS, rest_run },
	{ "user", "update", "change a user",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail"),
	      OPTION("--email", ARG_TEXT, "E-MAIL", TO_BODY, "email", "what the user signs in with"),
	      OPTION("--display-name", ARG_TEXT, "NAME", TO_BODY, "display_name", "for people")),
	  CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/users/{USER}", NULL, USER_COLUMNS, rest_run },
	{ "user", "disable", "keep a user out; ends all sessions",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/users/{USER}", "{\"disabled\":true}", USER_COLUMNS, rest_run },
	{ "user", "enable", "let a user in again",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/users/{USER}", "{\"disabled\":false}", USER_COLUMNS, rest_run },
	{ "user", "delete", "remove a user with sessions and assignments",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_DESTROYS | CMD_IF_MATCH,
	  "DELETE", "/admin/users/{USER}", NULL, "id", rest_run },
	{ "user", "password", "set a user's password; ends all sessions",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail"),
	      { .name = "--password-file", .type = ARG_SECRET, .value = "FILE", .to = TO_BODY,
	        .field = "password", .ask = true,
	        .help = "file with the password in its first line, - for stdin; asked for otherwise" }),
	  CMD_CHANGES, "PUT", "/admin/users/{USER}/password", NULL, "id", rest_run },
	{ "user", "sessions", "list a user's sessions",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_LIST,
	  "GET", "/admin/users/{USER}/sessions", NULL, SESSION_COLUMNS, rest_run },
	{ "user", "signout", "end all sessions of a user",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_DESTROYS,
	  "DELETE", "/admin/users/{USER}/sessions", NULL, "id", rest_run },
	{ "user", "import", "take over users of elsewhere with their password hashes; goes on where an import"
	      " of the same file was cut off",
	  ARGS(OPERAND("FILE", TO_COMMAND, NULL, "JSON, one object a line: email, password_hash,"
	          " display_name, email_verified, disabled; - for stdin"),
	      OPTION("--rejects", ARG_TEXT, "FILE", TO_COMMAND, NULL,
	          "where lines go that are refused; FILE.rejected otherwise"),
	      FLAG("--restart", TO_COMMAND, NULL, "begin anew instead of going on")),
	  CMD_CHANGES, .columns = "created,unchanged,rejected,lines", .run = user_import_run },
	{ "user", "mfa-reset", "take the second factor of a user away",
	  ARGS(OPERAND_USER("USER", TO_PATH, NULL, "id or e-mail")), CMD_DESTROYS,
	  "DELETE", "/admin/users/{USER}/mfa", NULL, "id", rest_run },

	{ "role", "list", "list roles", ARGS(TENANT_FILTER), CMD_LIST,
	  "GET", "/admin/roles", NULL, ROLE_COLUMNS, rest_run },
	{ "role", "get", "print a role", ARGS(OPERAND("ID", TO_PATH, NULL, "of the role")), 0,
	  "GET", "/admin/roles/{ID}", NULL, ROLE_COLUMNS, rest_run },
	{ "role", "create", "make a role",
	  ARGS(OPERAND("ID", TO_BODY, "id", "of the new role"),
	      OPTION("--name", ARG_TEXT, "NAME", TO_BODY, "name", "for people"),
	      OPTION("--tenant", ARG_TEXT, "TENANT", TO_BODY, "tenant", "seen and assigned there only"),
	      { .name = "--right", .type = ARG_GRANT, .value = "RIGHT[:RESOURCE]", .to = TO_BODY,
	        .field = "rights", .many = true, .help = "what it allows; may be repeated" }), CMD_CHANGES,
	  "POST", "/admin/roles", NULL, ROLE_COLUMNS, rest_run },
	{ "role", "update", "change a role; --right replaces all that it allowed",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the role"),
	      OPTION("--name", ARG_TEXT, "NAME", TO_BODY, "name", "for people"),
	      { .name = "--right", .type = ARG_GRANT, .value = "RIGHT[:RESOURCE]", .to = TO_BODY,
	        .field = "rights", .many = true, .help = "what it allows; may be repeated" }),
	  CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/roles/{ID}", NULL, ROLE_COLUMNS, rest_run },
	{ "role", "delete", "remove a role that nobody has",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the role")), CMD_DESTROYS | CMD_IF_MATCH,
	  "DELETE", "/admin/roles/{ID}", NULL, "id", rest_run },
	{ "right", "list", "list the rights that a role may allow", NULL, 0,
	  "GET", "/admin/rights", NULL, "right,resource,help", rest_run },

	{ "assignment", "list", "list assignments",
	  ARGS(TENANT_FILTER, OPTION("--principal", ARG_PRINCIPAL, "PRINCIPAL", TO_QUERY, "principal",
	      "only of this user (id or e-mail) or service account (id)"),
	      OPTION("--role", ARG_TEXT, "ROLE", TO_QUERY, "role", "only of this role")), CMD_LIST,
	  "GET", "/admin/assignments", NULL, ASSIGNMENT_COLUMNS, rest_run },
	{ "assignment", "create", "give a role to a user or service account",
	  ARGS(REQUIRED("--principal", ARG_PRINCIPAL, "PRINCIPAL", TO_BODY, "principal",
	          "user (id or e-mail) or service account (id)"),
	      REQUIRED("--tenant", ARG_TEXT, "TENANT", TO_BODY, "tenant", "where; * is everywhere"),
	      REQUIRED("--role", ARG_TEXT, "ROLE", TO_BODY, "role", "id of the role")), CMD_CHANGES,
	  "POST", "/admin/assignments", NULL, ASSIGNMENT_COLUMNS, rest_run },
	{ "assignment", "delete", "take a role back",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the assignment")), CMD_DESTROYS,
	  "DELETE", "/admin/assignments/{ID}", NULL, "id", rest_run },

	{ "service-account", "list", "list service accounts", ARGS(TENANT_FILTER), CMD_LIST,
	  "GET", "/admin/service-accounts", NULL, ACCOUNT_COLUMNS, rest_run },
	{ "service-account", "get", "print a service account",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account")), 0,
	  "GET", "/admin/service-accounts/{ID}", NULL, ACCOUNT_COLUMNS, rest_run },
	{ "service-account", "create", "make a service account",
	  ARGS(OPERAND("NAME", TO_BODY, "name", "unique in its tenant"),
	      OPTION("--tenant", ARG_TEXT, "TENANT", TO_BODY, "tenant",
	          "whose administrators manage it; the platform's otherwise")), CMD_CHANGES,
	  "POST", "/admin/service-accounts", NULL, ACCOUNT_COLUMNS, rest_run },
	{ "service-account", "update", "change a service account",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account"),
	      OPTION("--name", ARG_TEXT, "NAME", TO_BODY, "name", "unique in its tenant"),
	      OPTION("--disabled", ARG_BOOL, "true|false", TO_BODY, "disabled",
	          "whether its credentials are refused")), CMD_CHANGES | CMD_IF_MATCH,
	  "PATCH", "/admin/service-accounts/{ID}", NULL, ACCOUNT_COLUMNS, rest_run },
	{ "service-account", "delete", "remove a service account with its credentials and assignments",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account")), CMD_DESTROYS | CMD_IF_MATCH,
	  "DELETE", "/admin/service-accounts/{ID}", NULL, "id", rest_run },
	{ "service-account", "credentials", "list the credentials of a service account",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account")), CMD_LIST,
	  "GET", "/admin/service-accounts/{ID}/credentials", NULL, CREDENTIAL_COLUMNS, rest_run },
	{ "service-account", "issue", "make a credential; its secret is shown this once",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account"),
	      { .name = "--kind", .type = ARG_TEXT, .value = "KIND", .to = TO_BODY, .field = "kind",
	        .required = true, .words = "secret|api_key|certificate|jwt", .help = "of credential" },
	      OPTION("--issuer", ARG_TEXT, "URL", TO_BODY, "issuer", "of the tokens of a jwt"),
	      OPTION("--subject", ARG_TEXT, "NAME", TO_BODY, "subject",
	          "or SAN of a certificate; whom the tokens of a jwt name"),
	      OPTION("--expires-at", ARG_TEXT, "TIME", TO_BODY, "expires_at", "RFC 3339; never otherwise")),
	  CMD_CHANGES, "POST", "/admin/service-accounts/{ID}/credentials", NULL, "id,secret", rest_run },
	{ "service-account", "revoke", "end a credential",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the service account"),
	      OPERAND("CREDENTIAL", TO_PATH, NULL, "id")), CMD_DESTROYS,
	  "DELETE", "/admin/service-accounts/{ID}/credentials/{CREDENTIAL}", NULL, "id", rest_run },

	{ "session", "list", "list your own sessions", NULL, CMD_LIST,
	  "GET", "/v1/auth/sessions", NULL, SESSION_COLUMNS, rest_run },
	{ "session", "end", "end one of your own sessions",
	  ARGS(OPERAND("ID", TO_PATH, NULL, "of the session")), CMD_DESTROYS,
	  "DELETE", "/v1/auth/sessions/{ID}", NULL, "id", rest_run },
	{ "key", "list", "list signing keys", NULL, 0,
	  "GET", "/admin/keys", NULL, KEY_COLUMNS, rest_run },
	{ "key", "rotate", "make the next signing key the active one", NULL, CMD_DESTROYS,
	  "POST", "/admin/keys/rotate", NULL, KEY_COLUMNS, rest_run },
	{ "key", "revoke", "end a signing key and all tokens that it signed, at once",
	  ARGS(OPERAND("KID", TO_PATH, NULL, "of the key")), CMD_DESTROYS,
	  "POST", "/admin/keys/{KID}/revoke", NULL, "kid,state,active", rest_run },

	{ "routing", "get", "print the routing document in force", NULL, 0,
	  "GET", "/admin/routing", NULL, "revision", rest_run, routing_show },
	{ "routing", "put", "replace the routing document",
	  ARGS({ .name = "--file", .letter = 'f', .type = ARG_TEXT, .value = "FILE", .required = true,
	         .help = "the document, JSON or YAML; - for stdin. Without a revision, or with the one in "
	         "force, it becomes the next" }), CMD_CHANGES | CMD_IF_MATCH,
	  "PUT", "/admin/routing", NULL, "revision", routing_put_run, routing_show },
	{ "routing", "set", "place a tenant on a shard",
	  ARGS(OPERAND("TENANT", TO_COMMAND, NULL, "which; * is the default placement"),
	      { .name = "--kind", .type = ARG_TEXT, .value = "KIND", .required = true,
	        .words = "aggregate|projection|runner", .help = "of node" },
	      OPTION("--shard", ARG_TEXT, "SHARD", TO_COMMAND, NULL,
	          "where to; without it the placement is removed"),
	      { .name = "--endpoint", .type = ARG_TEXT, .value = "URL", .many = true,
	        .help = "of the shard, replacing those it had; may be repeated" }),
	  CMD_CHANGES | CMD_PATCHES,
	  "PUT", "/admin/routing", NULL, "revision", routing_set_run, routing_show },
	{ "routing", "diff", "what a file, or another revision, would change",
	  ARGS({ .name = "--file", .letter = 'f', .type = ARG_TEXT, .value = "FILE",
	         .help = "compare the document in force with this one; - for stdin" },
	      OPTION("--from", ARG_INT, "N", TO_COMMAND, NULL, "revision; the one before by default"),
	      OPTION("--to", ARG_INT, "N", TO_COMMAND, NULL, "revision; the one in force by default")), 0,
	  "GET", "/admin/routing", NULL, "op,path,from,to", routing_diff_run },
	{ "routing", "revisions", "list revisions", NULL, CMD_LIST,
	  "GET", "/admin/routing/revisions", NULL, REVISION_COLUMNS, rest_run },
	{ "routing", "show", "print one revision", ARGS(OPERAND("N", TO_PATH, NULL, "revision")), 0,
	  "GET", "/admin/routing/revisions/{N}", NULL, "revision", rest_run, routing_show },
	{ "routing", "rollback", "make an old revision the newest again",
	  ARGS({ .name = "N", .type = ARG_INT, .to = TO_BODY, .field = "revision", .required = true,
	         .help = "revision" }), CMD_DESTROYS,
	  "POST", "/admin/routing/rollback", NULL, "revision", rest_run, routing_show },
	{ "routing", "resolve", "where a tenant's calls go",
	  ARGS(REQUIRED("--tenant", ARG_TEXT, "TENANT", TO_QUERY, "tenant", "which"),
	      { .name = "--kind", .type = ARG_TEXT, .value = "KIND", .to = TO_QUERY, .field = "kind",
	        .required = true, .words = "aggregate|projection|runner", .help = "of node" }), 0,
	  "GET", "/admin/routing/resolve", NULL, "shard,endpoints[].url", rest_run },
	{ "routing", "reload", "read the routing source again now", NULL, CMD_CHANGES,
	  "POST", "/admin/routing/reload", NULL, "revision", rest_run, routing_show },

	{ "authz", "explain", "why a principal may or may not do something",
	  ARGS(REQUIRED("--principal", ARG_PRINCIPAL, "PRINCIPAL", TO_QUERY, "principal",
	          "user (id or e-mail) or service account (id)"),
	      REQUIRED("--right", ARG_TEXT, "RIGHT", TO_QUERY, "right", "what it wants to do"),
	      OPTION("--tenant", ARG_TEXT, "TENANT", TO_QUERY, "tenant", "where; platform-wide otherwise"),
	      OPTION("--resource", ARG_TEXT, "RESOURCE", TO_QUERY, "resource", "on what")), 0,
	  "GET", "/admin/authz/explain", NULL, "allowed,reason,role", rest_run },

	{ "db", "migrate", "apply pending migrations", ARGS(STORE), CMD_CHANGES | CMD_OFFLINE,
	  .columns = "version,name,state,applied_at", .run = db_migrate_run },
	{ "db", "status", "list migrations, applied and pending", ARGS(STORE), CMD_OFFLINE,
	  .columns = "version,name,state,applied_at", .run = db_status_run },
	{ "db", "check", "whether the store's schema is what this program needs", ARGS(STORE), CMD_OFFLINE,
	  .columns = "schema,engine", .run = db_check_run },
	{ "admin", "init", "make the first platform admin; refuses a second",
	  ARGS(STORE, REQUIRED("--email", ARG_TEXT, "E-MAIL", TO_COMMAND, NULL, "what it signs in with"),
	      PASSWORD_FILE("file with the password in its first line, - for stdin; asked for otherwise")),
	  CMD_CHANGES | CMD_OFFLINE, .columns = "id,email,role", .run = admin_init_run },

	{ "completion", NULL, "print the completion script of a shell, to be sourced by it",
	  ARGS({ .name = "SHELL", .type = ARG_TEXT, .required = true, .words = "bash|zsh|fish",
	         .help = "which" }), CMD_OFFLINE, .run = completion_run },
	{ "version", NULL, "print the version", NULL, CMD_OFFLINE, .run = version_run },
	{ .noun = NULL },
};
