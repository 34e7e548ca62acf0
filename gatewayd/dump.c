#include "dump.h"

#include <string.h>

#include "authz/decision.h"
#include "base/config.h"
#include "obs/obs.h"
#include "request/op.h"

static const char *who_text(const struct op *op)
{
	switch (op->who) {
	case WHO_ALL: return "all";
	case WHO_ANY: return "any";
	case WHO_USER: return "user";
	case WHO_SERVICE: return "service account";
	case WHO_RIGHT: return op->right;
	}
	return "";
}

static const char *tenant_text(const struct op *op)
{
	static const char *const names[] = {
		[TENANT_NONE] = "-", [TENANT_HEADER] = "x-tenant-id", [TENANT_SCOPE] = "resource",
		[TENANT_LIST] = "?tenant=",
	};

	return names[op->tenant];
}

static void dump_api(FILE *out)
{
	fprintf(out, "method\tpath\tlisteners\twho\ttenant\tlane\tname\thelp\n");
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops_all[i];

		fprintf(out, "%s\t%s\t%s%s%s\t%s\t%s\t%s\t%s\t%s\n", method_name(op->method), op->path,
		    op->on & ON_HTTP ? "http " : "", op->on & ON_GRPC ? "grpc " : "",
		    op->on & ON_ADMIN ? "admin" : "", who_text(op), tenant_text(op),
		    op->lane == LANE_DATA ? "data" : "control", op->name, op->help);
	}
}

static void dump_errors(FILE *out)
{
	fprintf(out, "code\thttp\tgrpc\texit\ttext\n");
	for (int e = OK + 1; e < ERR__COUNT; e++) {
		const struct err_info *i = err_info((enum err)e);

		fprintf(out, "%s\t%d\t%d\t%d\t%s\n", i->code, i->http, i->grpc, i->exit, i->text);
	}
}

static void dump_metrics(FILE *out)
{
	fprintf(out, "name\ttype\tlabels\thelp\n");
	for (size_t i = 0; i < obs_metrics_count; i++)
		fprintf(out, "%s\t%s\t%s\t%s\n", obs_metrics[i].name, obs_metrics[i].type,
		    obs_metrics[i].labels, obs_metrics[i].help);
}

static void dump_rights(FILE *out)
{
	fprintf(out, "right\tresource\thelp\n");
	for (size_t i = 0; i < rights_count; i++)
		fprintf(out, "%s\t%s\t%s\n", rights_all[i].name,
		    rights_all[i].resource != NULL ? rights_all[i].resource : "-", rights_all[i].help);
}

static const struct {
	const char *name;
	void (*print)(FILE *out);
} dumps[] = {
	{ "api", dump_api },         { "config", config_dump },   { "errors", dump_errors },
	{ "metrics", dump_metrics }, { "rights", dump_rights },
};

enum err dump(const char *what, FILE *out, struct fail *f)
{
	for (size_t i = 0; i < sizeof dumps / sizeof *dumps; i++) {
		if (strcmp(dumps[i].name, what) != 0)
			continue;
		dumps[i].print(out);
		return OK;
	}
	return fail_set(f, E_USAGE, "--dump knows api, config, errors, metrics and rights, not \"%s\"",
	    what);
}
