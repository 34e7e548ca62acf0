#include "api/schema.h"

#include <stdio.h>

#include "api/bodies.h"

#define ANSWER(name_, fields_) { .name = (name_), .fields = (fields_) }
#define TAKES(name_, body_) { .name = (name_), .body = (body_) }
#define LIST(name_) { .name = (name_), .fields = "" }

const struct schema schemas_all[] = {
	ANSWER("Error", "code:string error:string details:object request_id:string"),
	ANSWER("Status", "status:string version:string!"),

	TAKES("SignupRequest", body_signup),
	TAKES("SigninRequest", body_signin),
	TAKES("RefreshRequest", body_refresh),
	TAKES("SignoutRequest", body_signout),
	TAKES("VerifyRequest", body_verify),
	TAKES("ForgotRequest", body_forgot),
	TAKES("ResetRequest", body_reset),
	TAKES("ChangePasswordRequest", body_change_password),
	TAKES("MfaCode", body_mfa_code),
	TAKES("MfaAnswer", body_mfa_verify),
	TAKES("OidcBegin", body_oidc_begin),
	ANSWER("OidcBegun", "authorization_url:string finish_token:string!"),
	TAKES("OidcFinish", body_oidc_finish),
	TAKES("IdentityCreate", body_identity_create),
	ANSWER("Identity", "id:uuid user:uuid issuer:string subject:string email:string? created_at:time"
	    " last_used_at:time? etag:string"),
	LIST("IdentityList"),
	ANSWER("TotpEnrolment", "secret:string otpauth_uri:string qr_svg:string"),
	ANSWER("RecoveryCodes", "recovery_codes:[string]"),
	ANSWER("SignupReply", "user:User"),
	ANSWER("TokenSet", "access_token:string token_type:string expires_in:integer"
	    " refresh_token:string refresh_expires_in:integer session_id:uuid user:TokenUser"),
	ANSWER("TokenRequest", "grant_type:string client_id:string! client_secret:string! scope:string!"),
	ANSWER("TokenReply", "access_token:string token_type:string expires_in:integer"),
	ANSWER("TokenUser", "id:uuid email:string"),
	ANSWER("Session", "id:uuid amr:[string] user_agent:string? ip:string? auth_time:time"
	    " created_at:time last_used_at:time expires_at:time current:boolean"),
	LIST("SessionList"),
	ANSWER("Me", "id:uuid kind:string email:string! name:string! tenants:[MeTenant]"
	    " capabilities:[string] auth:MeAuth"),
	ANSWER("MeTenant", "id:string roles:[string]"),
	ANSWER("MeAuth", "method:string amr:[string] session_id:uuid! expires_at:time?"),
	ANSWER("Can", "right:string resource:string? allowed:boolean reason:string"),
	ANSWER("Jwks", "keys:[object]"),

	TAKES("TenantCreate", body_tenant_create),
	TAKES("TenantPatch", body_tenant_patch),
	ANSWER("Tenant", "id:string name:string disabled:boolean created_at:time updated_at:time etag:string"),
	LIST("TenantList"),
	TAKES("UserCreate", body_user_create),
	TAKES("UserPatch", body_user_patch),
	TAKES("UserPassword", body_user_password),
	TAKES("UsersImport", body_users_import),
	TAKES("ImportedUser", body_imported_user),
	ANSWER("ImportResults", "results:[ImportResult]"),
	ANSWER("ImportResult", "status:integer id:uuid! code:string! error:string!"),
	ANSWER("User", "id:uuid email:string display_name:string? email_verified:boolean"
	    " disabled:boolean has_password:boolean created_at:time updated_at:time etag:string"),
	LIST("UserList"),
	ANSWER("Right", "right:string resource:string? help:string"),
	LIST("RightList"),
	TAKES("RoleCreate", body_role_create),
	TAKES("RolePatch", body_role_patch),
	ANSWER("Role", "id:string name:string tenant:string? built_in:boolean rights:[Grant]"
	    " etag:string"),
	ANSWER("Grant", "right:string resource:string"),
	LIST("RoleList"),
	TAKES("AssignmentCreate", body_assignment_create),
	ANSWER("Assignment", "id:uuid principal:uuid tenant:string role:string created_by:uuid?"
	    " created_at:time etag:string"),
	LIST("AssignmentList"),
	TAKES("ServiceAccountCreate", body_service_account_create),
	TAKES("ServiceAccountPatch", body_service_account_patch),
	ANSWER("ServiceAccount", "id:uuid name:string tenant:string? disabled:boolean"
	    " created_at:time updated_at:time etag:string"),
	LIST("ServiceAccountList"),
	TAKES("CredentialCreate", body_credential_create),
	ANSWER("Credential", "id:uuid service_account:uuid kind:string issuer:string? subject:string?"
	    " expires_at:time? last_used_at:time? created_at:time secret:string! etag:string"),
	LIST("CredentialList"),

	ANSWER("Explanation", "principal:uuid tenant:string? right:string resource:string?"
	    " allowed:boolean reason:string role:string? disabled:boolean"
	    " assignments:[ExplainedAssignment]"),
	ANSWER("ExplainedAssignment", "tenant:string role:string"),
	ANSWER("AuditRecord", "seq:integer at:time replica:uuid actor:uuid? actor_kind:string?"
	    " actor_name:string? method:string action:string target:string? tenant:string?"
	    " before:object? after:object? outcome:string request_id:string? trace_id:string?"
	    " source:string? prev_hash:string hash:string"),
	LIST("AuditRecordList"),
	ANSWER("Key", "kid:string alg:string state:string not_after:time? created_at:time"
	    " updated_at:time"),
	LIST("KeyList"),
	ANSWER("KeyRotated", "kid:string state:string"),
	ANSWER("KeyRevoked", "kid:string state:string active:string"),
	ANSWER("SystemStatus", "status:string version:string replica:uuid time:time store:string"
	    " feed:FeedStatus routing:RoutingStatus nodes:NodesStatus tls:TlsStatus"
	    " password_hash_queue:integer"),
	ANSWER("TlsStatus", "certificate_expires_at:time? node_certificate_expires_at:time?"),
	ANSWER("FeedStatus", "seq:integer age_ms:integer errors:integer nats_connected:boolean"),
	ANSWER("RoutingStatus", "source:string revision:integer"),
	ANSWER("NodesStatus", "total:integer up:integer down:integer unknown:integer circuits_open:integer"
	    " circuits_half_open:integer unwell_total:integer unwell:[UnwellNode]"),
	ANSWER("UnwellNode", "url:string admin:boolean health:string since:time? reason:string? circuit:string"),

	ANSWER("RoutingDocument", "revision:integer aggregate_placement:object!"
	    " aggregate_shards:object! projection_placement:object! projection_shards:object!"
	    " runner_placement:object! runner_shards:object!"),
	TAKES("RoutingRollback", body_rollback),
	ANSWER("Revision", "revision:integer at:time author:uuid? note:string?"
	    " document:RoutingDocument!"),
	LIST("RevisionList"),
	ANSWER("RoutingDiff", "from:integer to:integer changes:[RoutingChange]"),
	ANSWER("RoutingChange", "op:string path:string from:object? to:object?"),
	ANSWER("Resolution", "tenant:string kind:string shard:string endpoints:[Endpoint]"
	    " revision:integer"),
	ANSWER("Endpoint", "url:string admin:string weight:integer"),

	ANSWER("Command", "command_id:string! command_type:string payload:object"
	    " expected_version:integer! metadata:object!"),
	ANSWER("CommandBatch", "items:[CommandItem]"),
	ANSWER("CommandItem", "aggregate_type:string aggregate_id:string command_id:string!"
	    " command_type:string payload:object expected_version:integer! metadata:object!"),
	ANSWER("QueryBatch", "items:[QueryItem]"),
	ANSWER("QueryItem", "view_type:string query:object!"),
	ANSWER("BatchResults", "results:[BatchResult]"),
	ANSWER("BatchResult", "status:integer body:object! code:string! error:string! details:object!"
	    " request_id:string!"),
	ANSWER("CommandResult", "command_id:string aggregate_type:string aggregate_id:string"
	    " version:integer events:[Event]"),
	ANSWER("Event", "event_id:string event_type:string version:integer payload:object"
	    " occurred_at:string"),
};
const size_t schemas_count = sizeof schemas_all / sizeof *schemas_all;

const struct schema *schema_find(const char *name)
{
	for (size_t i = 0; i < schemas_count; i++)
		if (strcmp(schemas_all[i].name, name) == 0)
			return &schemas_all[i];
	return NULL;
}

void schema_ref(struct jsonw *w, const char *name)
{
	char ref[128];

	snprintf(ref, sizeof ref, "#/components/schemas/%s", name);
	jsonw_obj(w);
	jsonw_kz(w, "$ref", ref);
	jsonw_obj_end(w);
}

/* ---- answers -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *type, *format;
} types[] = {
	{ "string", "string", NULL },    { "integer", "integer", "int64" },
	{ "boolean", "boolean", NULL },  { "uuid", "string", "uuid" },
	{ "time", "string", "date-time" }, { "object", NULL, NULL },
};

static void write_named_type(struct jsonw *w, struct str type, bool nullable)
{
	char name[64];

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (!str_eqc(type, types[i].name))
			continue;
		jsonw_obj(w);
		if (types[i].type != NULL && nullable) {
			jsonw_key(w, "type");
			jsonw_arr(w);
			jsonw_str(w, str_c(types[i].type));
			jsonw_str(w, STR("null"));
			jsonw_arr_end(w);
		} else if (types[i].type != NULL) {
			jsonw_kz(w, "type", types[i].type);
		}
		if (types[i].format != NULL)
			jsonw_kz(w, "format", types[i].format);
		jsonw_obj_end(w);
		return;
	}
	snprintf(name, sizeof name, "%.*s", STR_ARG(type));
	schema_ref(w, name);
}

static void write_type(struct jsonw *w, struct str type, bool nullable)
{
	if (type.n < 2 || type.p[0] != '[') {
		write_named_type(w, type, nullable);
		return;
	}
	jsonw_obj(w);
	jsonw_kz(w, "type", "array");
	jsonw_key(w, "items");
	write_named_type(w, str_n(type.p + 1, type.n - 2), false);
	jsonw_obj_end(w);
}

/* Takes "name:type?" off the front of *rest. */
struct member {
	struct str name, type;
	bool nullable, optional;
};
static struct member next_member(struct str *rest)
{
	struct member m = { 0 };

	m.name = str_cut(str_cut(*rest, ' ', rest), ':', &m.type);
	m.nullable = m.type.n > 0 && m.type.p[m.type.n - 1] == '?';
	m.optional = m.type.n > 0 && m.type.p[m.type.n - 1] == '!';
	if (m.nullable || m.optional)
		m.type.n--;
	return m;
}

static void key(struct jsonw *w, struct str name)
{
	char z[64];

	snprintf(z, sizeof z, "%.*s", STR_ARG(name));
	jsonw_key(w, z);
}

static void write_answer(struct jsonw *w, const char *fields)
{
	struct str rest = str_c(fields);

	jsonw_kz(w, "type", "object");
	jsonw_key(w, "properties");
	jsonw_obj(w);
	while (rest.p != NULL) {
		struct member m = next_member(&rest);

		key(w, m.name);
		write_type(w, m.type, m.nullable);
	}
	jsonw_obj_end(w);
	jsonw_key(w, "required");
	jsonw_arr(w);
	for (rest = str_c(fields); rest.p != NULL;) {
		struct member m = next_member(&rest);

		if (!m.optional)
			jsonw_str(w, m.name);
	}
	jsonw_arr_end(w);
}

static void write_list(struct jsonw *w, const char *name)
{
	struct str item = str_n(name, strlen(name) - strlen("List"));

	jsonw_kz(w, "type", "object");
	jsonw_key(w, "properties");
	jsonw_obj(w);
	jsonw_key(w, "items");
	jsonw_obj(w);
	jsonw_kz(w, "type", "array");
	jsonw_key(w, "items");
	write_named_type(w, item, false);
	jsonw_obj_end(w);
	jsonw_key(w, "next_page_token");
	write_named_type(w, STR("string"), true);
	jsonw_obj_end(w);
	jsonw_key(w, "required");
	jsonw_raw(w, STR("[\"items\",\"next_page_token\"]"));
}

/* ---- bodies --------------------------------------------------------------------------------- */

static const struct {
	const char *type, *format;
} body_types[] = {
	[BODY_T_STR] = { "string", NULL },    [BODY_T_BOOL] = { "boolean", NULL },
	[BODY_T_INT] = { "integer", "int64" }, [BODY_T_ID] = { "string", "uuid" },
	[BODY_T_TIME] = { "string", "date-time" }, [BODY_T_ARRAY] = { "array", NULL },
	[BODY_T_OBJECT] = { "object", NULL },
};

static void write_bounds(struct jsonw *w, const struct body_field *d)
{
	static const char *const low[] = { [BODY_T_STR] = "minLength", [BODY_T_INT] = "minimum",
		[BODY_T_ARRAY] = "minItems" };
	static const char *const high[] = { [BODY_T_STR] = "maxLength", [BODY_T_INT] = "maximum",
		[BODY_T_ARRAY] = "maxItems" };

	if (d->type > BODY_T_ARRAY || low[d->type] == NULL)
		return;
	if (d->min > 0)
		jsonw_kint(w, low[d->type], d->min);
	if (d->max > 0)
		jsonw_kint(w, high[d->type], d->max);
}

static void write_words(struct jsonw *w, const char *const *words)
{
	jsonw_key(w, "enum");
	jsonw_arr(w);
	for (; *words != NULL; words++)
		jsonw_str(w, str_c(*words));
	jsonw_arr_end(w);
}

static void write_body_field(struct jsonw *w, const struct body_field *d)
{
	jsonw_key(w, d->name);
	jsonw_obj(w);
	jsonw_key(w, "type");
	if (d->flags & BODY_NULLABLE)
		jsonw_arr(w);
	jsonw_str(w, str_c(body_types[d->type].type));
	if (d->flags & BODY_NULLABLE) {
		jsonw_str(w, STR("null"));
		jsonw_arr_end(w);
	}
	if (body_types[d->type].format != NULL)
		jsonw_kz(w, "format", body_types[d->type].format);
	if (d->flags & BODY_SECRET)
		jsonw_kbool(w, "writeOnly", true);
	write_bounds(w, d);
	if (d->words != NULL)
		write_words(w, d->words);
	if (d->rule != NULL)
		jsonw_kz(w, "description", d->rule);
	jsonw_obj_end(w);
}

static void write_body(struct jsonw *w, const struct body_field *fields)
{
	jsonw_kz(w, "type", "object");
	jsonw_key(w, "properties");
	jsonw_obj(w);
	for (const struct body_field *d = fields; d->name != NULL; d++)
		write_body_field(w, d);
	jsonw_obj_end(w);
	jsonw_key(w, "required");
	jsonw_arr(w);
	for (const struct body_field *d = fields; d->name != NULL; d++)
		if (d->flags & BODY_REQUIRED)
			jsonw_str(w, str_c(d->name));
	jsonw_arr_end(w);
	jsonw_kbool(w, "additionalProperties", false);
}

void schema_write(struct jsonw *w, const struct schema *s)
{
	jsonw_obj(w);
	if (s->body != NULL)
		write_body(w, s->body);
	else if (*s->fields == '\0')
		write_list(w, s->name);
	else
		write_answer(w, s->fields);
	jsonw_obj_end(w);
}
