#include "api/openapi.h"

#include <ctype.h>
#include <stdio.h>

#include "api/ctl.h"
#include "api/handlers.h"
#include "api/schema.h"
#include "base/jsonw.h"
#include "request/op.h"
#include "request/request.h"

/* gRPC is described by its proto files, not here. */
static bool is_http(const struct op *op)
{
	return op->body != BODY_GRPC;
}

static bool has_suffix_star(const char *path)
{
	return path[strlen(path) - 1] == '*';
}

/* OpenAPI has no rest parameter: what a final star takes is called {path}. */
static const char *template_of(const struct op *op, char out[256])
{
	size_t n = strlen(op->path);

	if (has_suffix_star(op->path))
		snprintf(out, 256, "%.*s{path}", (int)(n - 1), op->path);
	else
		snprintf(out, 256, "%s", op->path);
	return out;
}

/* ---- parameters ----------------------------------------------------------------------------- */

static void parameter(struct jsonw *w, struct str name, const char *in, bool required)
{
	jsonw_obj(w);
	jsonw_kstr(w, "name", name);
	jsonw_kz(w, "in", in);
	jsonw_kbool(w, "required", required);
	jsonw_key(w, "schema");
	jsonw_raw(w, str_eq(name, STR("page_size")) ?
	    STR("{\"type\":\"integer\",\"minimum\":1,\"maximum\":500,\"default\":50}") :
	    STR("{\"type\":\"string\"}"));
	jsonw_obj_end(w);
}

static void path_parameters(struct jsonw *w, const char *path)
{
	struct str rest = str_c(path), name;

	while (rest.p != NULL) {
		(void)str_cut(rest, '{', &rest);
		if (rest.p == NULL)
			return;
		name = str_cut(rest, '}', &rest);
		parameter(w, name, "path", true);
	}
}

static bool is_admin(const struct op *op)
{
	return strncmp(op->path, "/admin/", 7) == 0;
}

static void parameters(struct jsonw *w, const struct op *op)
{
	char path[256];

	jsonw_key(w, "parameters");
	jsonw_arr(w);
	path_parameters(w, template_of(op, path));
	for (const char *const *q = op->query; q != NULL && *q != NULL; q++)
		if (strcmp(*q, "*") != 0)
			parameter(w, str_c(*q), "query", false);
	if (op->tenant == TENANT_HEADER)
		parameter(w, STR("x-tenant-id"), "header", true);
	if (is_admin(op) && op->lane == LANE_CONTROL && op->method == M_POST)
		parameter(w, STR("Idempotency-Key"), "header", false);
	if (is_admin(op) && op->lane == LANE_CONTROL &&
	    (op->method == M_PUT || op->method == M_PATCH || op->method == M_DELETE))
		parameter(w, STR("If-Match"), "header", false);
	jsonw_arr_end(w);
}

/* ---- bodies and answers --------------------------------------------------------------------- */

static void content(struct jsonw *w, const char *type, const char *schema)
{
	jsonw_key(w, "content");
	jsonw_obj(w);
	jsonw_key(w, type);
	jsonw_obj(w);
	if (schema != NULL) {
		jsonw_key(w, "schema");
		schema_ref(w, schema);
	}
	jsonw_obj_end(w);
	jsonw_obj_end(w);
}

static void request_body(struct jsonw *w, const struct op *op)
{
	if (op->body == BODY_NONE || (op->body == BODY_JSON && op->request_schema == NULL))
		return;
	jsonw_key(w, "requestBody");
	jsonw_obj(w);
	content(w, op->body == BODY_FORM ? "application/x-www-form-urlencoded" : "application/json",
	    op->request_schema);
	jsonw_obj_end(w);
}

static void responses(struct jsonw *w, const struct op *op)
{
	char status[8];

	snprintf(status, sizeof status, "%d", op->status);
	jsonw_key(w, "responses");
	jsonw_obj(w);
	jsonw_key(w, status);
	jsonw_obj(w);
	jsonw_kz(w, "description", "success");
	if (op->reply_schema != NULL)
		content(w, "application/json", op->reply_schema);
	jsonw_obj_end(w);
	jsonw_key(w, "default");
	jsonw_obj(w);
	jsonw_kz(w, "description", "an error");
	content(w, "application/json", "Error");
	jsonw_obj_end(w);
	jsonw_obj_end(w);
}

/* ---- operations ----------------------------------------------------------------------------- */

static void security(struct jsonw *w, const struct op *op)
{
	jsonw_key(w, "security");
	if (op->who == WHO_ALL)
		jsonw_raw(w, STR("[]"));
	else if (op->who == WHO_SERVICE)
		jsonw_raw(w, STR("[{\"basic\":[]},{}]"));
	else
		jsonw_raw(w, STR("[{\"bearer\":[]},{\"basic\":[]},{\"certificate\":[]}]"));
}

static void operation(struct jsonw *w, const struct op *op)
{
	char method[8];
	size_t n = 0;

	for (const char *p = method_name(op->method); *p != '\0' && n < sizeof method - 1; p++)
		method[n++] = (char)tolower((unsigned char)*p);
	method[n] = '\0';
	jsonw_key(w, method);
	jsonw_obj(w);
	jsonw_kz(w, "operationId", op->name);
	jsonw_kz(w, "summary", op->help);
	if (op->right != NULL)
		jsonw_kz(w, "x-right", op->right);
	parameters(w, op);
	request_body(w, op);
	responses(w, op);
	security(w, op);
	jsonw_obj_end(w);
}

static bool is_first_of_path(size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (is_http(&ops_all[k]) && strcmp(ops_all[k].path, ops_all[i].path) == 0)
			return false;
	return true;
}

static void paths(struct jsonw *w)
{
	char path[256];

	jsonw_key(w, "paths");
	jsonw_obj(w);
	for (size_t i = 0; i < ops_count; i++) {
		if (!is_http(&ops_all[i]) || !is_first_of_path(i))
			continue;
		jsonw_key(w, template_of(&ops_all[i], path));
		jsonw_obj(w);
		for (size_t k = i; k < ops_count; k++)
			if (strcmp(ops_all[k].path, ops_all[i].path) == 0)
				operation(w, &ops_all[k]);
		jsonw_obj_end(w);
	}
	jsonw_obj_end(w);
}

static void components(struct jsonw *w)
{
	jsonw_key(w, "components");
	jsonw_obj(w);
	jsonw_key(w, "schemas");
	jsonw_obj(w);
	for (size_t i = 0; i < schemas_count; i++) {
		jsonw_key(w, schemas_all[i].name);
		schema_write(w, &schemas_all[i]);
	}
	jsonw_obj_end(w);
	jsonw_key(w, "securitySchemes");
	jsonw_raw(w, STR("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
	    "\"basic\":{\"type\":\"http\",\"scheme\":\"basic\"},"
	    "\"certificate\":{\"type\":\"mutualTLS\"}}"));
	jsonw_obj_end(w);
}

void openapi_write(struct buf *out)
{
	struct jsonw w = jsonw_on(out);

	jsonw_obj(&w);
	jsonw_kz(&w, "openapi", "3.1.0");
	jsonw_key(&w, "info");
	jsonw_obj(&w);
	jsonw_kz(&w, "title", "gatewayd");
	jsonw_kz(&w, "version", GW_VERSION);
	jsonw_obj_end(&w);
	paths(&w);
	components(&w);
	jsonw_obj_end(&w);
}

enum err op_openapi(struct ctl *c, struct request *r, struct fail *f)
{
	(void)c, (void)f;
	(void)request_json(r, 200);
	openapi_write(&r->reply.buf);
	return OK;
}
