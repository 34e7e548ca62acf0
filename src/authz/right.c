#include "authz/decision.h"

const struct right_info rights_all[] = {
	{ "command.submit", "aggregate type", "submit commands to aggregates" },
	{ "query.execute", "view type", "query projections" },
	{ "runner.admin", NULL, "call the admin API of the tenant's runner" },
	{ "service.invoke", "service name", "call a registered private service" },
	{ "service.register", "service name", "register as a private service" },
	{ "iam.read", NULL, "see users, roles, assignments, service accounts and sessions" },
	{ "iam.write", NULL, "change users, roles, assignments, service accounts and sessions" },
	{ "tenant.write", NULL, "make, rename, disable and remove tenants" },
	{ "audit.read", NULL, "read the audit log" },
	{ "routing.read", NULL, "see the routing document and its revisions" },
	{ "routing.write", NULL, "change the routing document" },
	{ "rebalance.read", NULL, "see rebalancing plans" },
	{ "rebalance.write", NULL, "make, apply, roll back and cancel rebalancing plans" },
	{ "keys.write", NULL, "rotate and revoke signing keys" },
	{ "system.read", NULL, "see the state of the gateway" },
};
const size_t rights_count = sizeof rights_all / sizeof rights_all[0];

bool right_is_known(struct str right)
{
	struct str verb, noun = str_cut(right, '.', &verb);

	if (str_eq(right, STR("*")))
		return true;
	for (size_t i = 0; i < rights_count; i++) {
		struct str known = str_c(rights_all[i].name), rest;

		if (str_eq(right, known))
			return true;
		if (str_eq(verb, STR("*")) && str_eq(noun, str_cut(known, '.', &rest)))
			return true;
	}
	return false;
}
