#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "authz/decision.h"
#include "base/heap.h"
#include "iam/principal.h"

#define S(z) { (z), sizeof(z) - 1 }
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct role_grant clerk[] = { { S("command.submit"), S("order*") },
	{ S("query.execute"), S("*") } };
static const struct role_grant reader[] = { { S("iam.read"), S("*") }, { S("audit.*"), S("*") } };
static const struct role_grant odd[] = { { S("command.submit"), S("*-order-*") },
	{ S("iam.read"), S("x*") } };
static const struct role_grant forged[] = { { S("*"), S("*") } };

static const struct role_def defs[] = {
	{ .id = S("clerk"), .grants = clerk, .n = N(clerk) },
	{ .id = S("empty") },
	{ .id = S("odd"), .grants = odd, .n = N(odd) },
	{ .id = S("reader"), .grants = reader, .n = N(reader) },
	{ .id = S("acme-only"), .tenant = S("acme"), .grants = forged, .n = N(forged) },
	{ .id = S("tenant-member"), .grants = forged, .n = N(forged) }, /* must not win */
};

static int make_roles(void **state)
{
	return role_set_new(defs, N(defs), (struct role_set **)state) == OK ? 0 : -1;
}

static int free_roles(void **state)
{
	role_set_unref(*state);
	return 0;
}

/* "tenant:role,tenant:role", sorted by the caller. */
struct who {
	struct principal p;
	struct principal_assignment a[8];
};

static struct principal *who(struct who *w, const char *text)
{
	struct str rest = str_c(text);

	*w = (struct who){ .p.assignments = w->a };
	if (text[0] == '!') {
		w->p.disabled = true;
		rest = str_skip(rest, 1);
	}
	while (rest.p != NULL && rest.n > 0) {
		struct str role, tenant = str_cut(str_cut(rest, ',', &rest), ':', &role);

		w->a[w->p.n++] = (struct principal_assignment){ tenant, role };
	}
	return &w->p;
}

static const struct {
	const char *who, *tenant, *right, *resource;
	enum authz_reason reason;
	const char *role;
} cases[] = {
	/* nobody */
	{ "", "acme", "query.execute", "orders", AUTHZ_NOT_MEMBER },
	{ "", NULL, "iam.read", NULL, AUTHZ_NO_RIGHT },
	/* plain membership */
	{ "acme:tenant-member", "acme", "query.execute", "orders", AUTHZ_GRANTED, "tenant-member" },
	{ "acme:tenant-member", "acme", "command.submit", "order", AUTHZ_GRANTED, "tenant-member" },
	{ "acme:tenant-member", "acme", "query.execute", NULL, AUTHZ_GRANTED, "tenant-member" },
	{ "acme:tenant-member", "acme", "iam.read", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-member", "acme", "runner.admin", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-member", "globex", "query.execute", "orders", AUTHZ_NOT_MEMBER },
	{ "acme:tenant-member", "acm", "query.execute", "orders", AUTHZ_NOT_MEMBER },
	{ "acme:tenant-member", "acme2", "query.execute", "orders", AUTHZ_NOT_MEMBER },
	{ "acme:tenant-member", "", "query.execute", "orders", AUTHZ_NOT_MEMBER },
	/* a definition in the store can't redefine a built-in role */
	{ "acme:tenant-member", "acme", "keys.write", NULL, AUTHZ_NO_RIGHT },
	/* tenant admin */
	{ "acme:tenant-admin", "acme", "iam.write", NULL, AUTHZ_GRANTED, "tenant-admin" },
	{ "acme:tenant-admin", "acme", "iam.read", NULL, AUTHZ_GRANTED, "tenant-admin" },
	{ "acme:tenant-admin", "acme", "audit.read", NULL, AUTHZ_GRANTED, "tenant-admin" },
	{ "acme:tenant-admin", "acme", "tenant.write", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-admin", "acme", "routing.read", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-admin", NULL, "iam.write", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-admin", "*", "iam.write", NULL, AUTHZ_NO_RIGHT },
	{ "acme:tenant-admin", "globex", "iam.write", NULL, AUTHZ_NOT_MEMBER },
	/* every tenant */
	{ "*:platform-admin", NULL, "keys.write", NULL, AUTHZ_GRANTED_ALL, "platform-admin" },
	{ "*:platform-admin", "acme", "command.submit", "order", AUTHZ_GRANTED_ALL, "platform-admin" },
	{ "*:platform-admin", "*", "command.submit", "order", AUTHZ_GRANTED_ALL, "platform-admin" },
	{ "*:tenant-member", "acme", "query.execute", "v", AUTHZ_GRANTED_ALL, "tenant-member" },
	{ "*:tenant-member", "acme", "iam.read", NULL, AUTHZ_NO_RIGHT },
	{ "*:tenant-member,acme:tenant-admin", "acme", "iam.read", NULL, AUTHZ_GRANTED, "tenant-admin" },
	{ "*:tenant-member,acme:tenant-admin", "zen", "iam.read", NULL, AUTHZ_NO_RIGHT },
	{ "*:tenant-member,acme:empty", "acme", "query.execute", "v", AUTHZ_GRANTED_ALL,
	    "tenant-member" },
	/* everything, but in one tenant only */
	{ "acme:platform-admin", "acme", "keys.write", NULL, AUTHZ_GRANTED, "platform-admin" },
	{ "acme:platform-admin", NULL, "keys.write", NULL, AUTHZ_NO_RIGHT },
	/* globs */
	{ "acme:clerk", "acme", "command.submit", "order", AUTHZ_GRANTED, "clerk" },
	{ "acme:clerk", "acme", "command.submit", "order-line", AUTHZ_GRANTED, "clerk" },
	{ "acme:clerk", "acme", "command.submit", "reorder", AUTHZ_NO_RIGHT },
	{ "acme:clerk", "acme", "command.submit", "Order", AUTHZ_NO_RIGHT },
	{ "acme:clerk", "acme", "command.submit", "", AUTHZ_NO_RIGHT },
	{ "acme:clerk", "acme", "command.submit", "*", AUTHZ_NO_RIGHT },
	{ "acme:clerk", "acme", "command.submit", NULL, AUTHZ_NO_RIGHT },
	{ "acme:clerk", "acme", "query.execute", "anything", AUTHZ_GRANTED, "clerk" },
	{ "acme:odd", "acme", "command.submit", "a-order-b", AUTHZ_GRANTED, "odd" },
	{ "acme:odd", "acme", "command.submit", "order-b", AUTHZ_NO_RIGHT },
	{ "acme:odd", "acme", "iam.read", NULL, AUTHZ_NO_RIGHT },
	/* wildcard rights */
	{ "acme:reader", "acme", "audit.read", NULL, AUTHZ_GRANTED, "reader" },
	{ "acme:reader", "acme", "auditor.read", NULL, AUTHZ_NO_RIGHT },
	{ "acme:reader", "acme", "iam.write", NULL, AUTHZ_NO_RIGHT },
	{ "acme:reader", "acme", "iam.*", NULL, AUTHZ_NO_RIGHT },
	{ "acme:reader", "acme", "iam.reader", NULL, AUTHZ_NO_RIGHT },
	/* several roles: the first that grants */
	{ "acme:clerk,acme:empty,acme:reader", "acme", "iam.read", NULL, AUTHZ_GRANTED, "reader" },
	{ "acme:gone,acme:reader", "acme", "iam.read", NULL, AUTHZ_GRANTED, "reader" },
	{ "acme:gone", "acme", "iam.read", NULL, AUTHZ_NO_RIGHT },
	/* a role of one tenant does nothing in another */
	{ "acme:acme-only", "acme", "keys.write", NULL, AUTHZ_GRANTED, "acme-only" },
	{ "globex:acme-only", "globex", "keys.write", NULL, AUTHZ_NO_RIGHT },
	{ "*:acme-only", "acme", "keys.write", NULL, AUTHZ_NO_RIGHT },
	{ "*:acme-only", NULL, "keys.write", NULL, AUTHZ_NO_RIGHT },
	/* disabled */
	{ "!*:platform-admin", NULL, "keys.write", NULL, AUTHZ_DISABLED },
	{ "!acme:tenant-member", "acme", "query.execute", "v", AUTHZ_DISABLED },
	{ "!", "acme", "query.execute", "v", AUTHZ_DISABLED },
};

static void test_decide(void **state)
{
	for (size_t i = 0; i < N(cases); i++) {
		struct who w;
		struct decision d = authz_decide(who(&w, cases[i].who), *state, str_c(cases[i].tenant),
		    str_c(cases[i].right), str_c(cases[i].resource));
		bool allowed = cases[i].reason == AUTHZ_GRANTED || cases[i].reason == AUTHZ_GRANTED_ALL;

		if (d.reason != cases[i].reason || d.allowed != allowed ||
		    (allowed && !str_eqc(d.role, cases[i].role)))
			fail_msg("case %zu: %s in %s: %s on %s: %s", i, cases[i].who,
			    cases[i].tenant != NULL ? cases[i].tenant : "the platform", cases[i].right,
			    cases[i].resource != NULL ? cases[i].resource : "-", authz_reason_text(d.reason));
	}
}

static const struct {
	const char *who, *tenant;
	const char *right[3], *resource[3];
	const char *role_tenant;
	bool may;
} grants[] = {
	/* what is held may be granted, where it is held */
	{ "acme:tenant-admin", "acme", { "iam.read" }, { "*" }, NULL, true },
	{ "acme:tenant-admin", "acme", { "iam.read", "iam.write" }, { "*", "*" }, NULL, true },
	{ "acme:tenant-admin", "acme", { "iam.*" }, { "*" }, NULL, true },
	{ "acme:tenant-admin", "acme", { "command.submit" }, { "order*" }, "acme", true },
	{ "acme:tenant-admin", "acme", { NULL }, { NULL }, NULL, true },
	/* not elsewhere */
	{ "acme:tenant-admin", "globex", { "iam.read" }, { "*" }, NULL, false },
	{ "acme:tenant-admin", "*", { "iam.read" }, { "*" }, NULL, false },
	{ "acme:tenant-admin", NULL, { "iam.read" }, { "*" }, NULL, false },
	/* not more: a right, a wildcard, everything */
	{ "acme:tenant-admin", "acme", { "iam.read", "routing.write" }, { "*", "*" }, NULL, false },
	{ "acme:tenant-admin", "acme", { "routing.*" }, { "*" }, NULL, false },
	{ "acme:tenant-admin", "acme", { "command.*" }, { "*" }, NULL, false },
	{ "acme:tenant-admin", "acme", { "*" }, { "*" }, NULL, false },
	{ "acme:reader", "acme", { "iam.*" }, { "*" }, NULL, false },
	{ "acme:reader", "acme", { "audit.*" }, { "*" }, NULL, true },
	{ "acme:reader", "acme", { "audit.read" }, { "*" }, NULL, true },
	/* globs */
	{ "acme:clerk", "acme", { "command.submit" }, { "order*" }, NULL, true },
	{ "acme:clerk", "acme", { "command.submit" }, { "order-*" }, NULL, true },
	{ "acme:clerk", "acme", { "command.submit" }, { "order" }, NULL, true },
	{ "acme:clerk", "acme", { "command.submit" }, { "order*x*" }, NULL, true },
	{ "acme:clerk", "acme", { "command.submit" }, { "orde*" }, NULL, false },
	{ "acme:clerk", "acme", { "command.submit" }, { "*order" }, NULL, false },
	{ "acme:clerk", "acme", { "command.submit" }, { "o*rder" }, NULL, false },
	{ "acme:clerk", "acme", { "command.submit" }, { "*" }, NULL, false },
	{ "acme:clerk", "acme", { "command.submit" }, { "**" }, NULL, false },
	{ "acme:clerk", "acme", { "command.submit" }, { "" }, NULL, false },
	{ "acme:odd", "acme", { "command.submit" }, { "*-order-*" }, NULL, true },
	{ "acme:odd", "acme", { "command.submit" }, { "x-order-*" }, NULL, true },
	{ "acme:odd", "acme", { "command.submit" }, { "x*-order-" }, NULL, true },
	{ "acme:odd", "acme", { "command.submit" }, { "*order*" }, NULL, false },
	/* a role that belongs to another tenant */
	{ "*:platform-admin", "globex", { "iam.read" }, { "*" }, "acme", false },
	{ "*:platform-admin", "*", { "iam.read" }, { "*" }, "acme", false },
	{ "*:platform-admin", "acme", { "iam.read" }, { "*" }, "acme", true },
	{ "globex:acme-only", "globex", { "iam.read" }, { "*" }, NULL, false },
	/* the platform's admin may all; everything in one tenant is not everything */
	{ "*:platform-admin", NULL, { "*" }, { "*" }, NULL, true },
	{ "*:platform-admin", "acme", { "*", "iam.*" }, { "*", "x*" }, NULL, true },
	{ "acme:platform-admin", "acme", { "*" }, { "*" }, NULL, true },
	{ "acme:platform-admin", "*", { "*" }, { "*" }, NULL, false },
	{ "!*:platform-admin", NULL, { "iam.read" }, { "*" }, NULL, false },
	{ "!*:platform-admin", NULL, { NULL }, { NULL }, NULL, false },
};

static void test_may_grant(void **state)
{
	for (size_t i = 0; i < N(grants); i++) {
		struct role_grant g[3];
		struct role_def role = { .id = S("new"), .tenant = str_c(grants[i].role_tenant),
			.grants = g };
		struct who w;

		for (; role.n < 3 && grants[i].right[role.n] != NULL; role.n++)
			g[role.n] = (struct role_grant){ str_c(grants[i].right[role.n]),
				str_c(grants[i].resource[role.n]) };
		if (authz_may_grant(who(&w, grants[i].who), STR_NONE, *state, str_c(grants[i].tenant), &role) !=
		    grants[i].may)
			fail_msg("case %zu: %s in %s", i, grants[i].who,
			    grants[i].tenant != NULL ? grants[i].tenant : "the platform");
	}
}

static const struct {
	const char *who, *target;
	bool outranks;
} ranks[] = {
	{ "acme:tenant-admin", "", true },
	{ "acme:tenant-admin", "acme:tenant-member", true },
	{ "acme:tenant-admin", "acme:tenant-admin", true },
	{ "acme:tenant-admin", "acme:clerk,acme:odd,acme:tenant-member", true },
	{ "acme:tenant-admin", "acme:clerk,acme:reader", false }, /* audit.* is more than audit.read */
	{ "acme:tenant-admin", "acme:platform-admin", false },
	{ "acme:tenant-admin", "acme:tenant-member,globex:tenant-member", false },
	{ "acme:tenant-admin", "*:tenant-member", false },
	{ "acme:tenant-admin", "*:empty", true },
	{ "acme:tenant-admin", "acme:gone", true },
	{ "acme:tenant-admin", "globex:acme-only", true }, /* the role does nothing there */
	{ "acme:tenant-admin", "acme:acme-only", false },
	{ "acme:tenant-member", "acme:clerk", true },
	{ "acme:clerk", "acme:tenant-member", false },
	{ "*:platform-admin", "*:platform-admin", true },
	{ "*:platform-admin", "acme:acme-only,globex:tenant-admin", true },
	{ "!*:platform-admin", "", false },
};

static void test_outranks(void **state)
{
	for (size_t i = 0; i < N(ranks); i++) {
		struct who w, t;

		if (authz_outranks(who(&w, ranks[i].who), STR_NONE, *state, who(&t, ranks[i].target)) !=
		    ranks[i].outranks)
			fail_msg("%s over %s", ranks[i].who, ranks[i].target);
	}
}

static void test_scopes(void **state)
{
	static const struct {
		const char *scopes, *right;
		bool in;
	} words[] = {
		{ NULL, "iam.read", true }, { "", "iam.read", false }, { " ", "iam.read", false },
		{ "iam.read", "iam.read", true }, { "openid iam.read email", "iam.read", true },
		{ "iam.write", "iam.read", false }, { "iam.*", "iam.read", true }, { "*", "iam.read", true },
		{ "iam.rea", "iam.read", false }, { "xiam.read", "iam.read", false },
		{ "iam.read", "iam.*", false }, { "iam.*", "iam.*", true }, { "iam.*", "*", false },
		{ "*", "*", true }, { "IAM.READ", "iam.read", false },
	};
	struct role_grant g = { S("iam.read"), S("*") };
	struct role_def role = { .id = S("new"), .grants = &g, .n = 1 };
	struct who w, t;

	for (size_t i = 0; i < N(words); i++)
		if (authz_in_scopes(str_c(words[i].scopes), str_c(words[i].right)) != words[i].in)
			fail_msg("%s in %s", words[i].right, words[i].scopes);
	/* what a token may not do, it cannot give away */
	assert_true(authz_may_grant(who(&w, "*:platform-admin"), STR("iam.read"), *state, STR_NONE, &role));
	assert_false(authz_may_grant(who(&w, "*:platform-admin"), STR("iam.write"), *state, STR_NONE, &role));
	assert_true(authz_outranks(who(&w, "*:platform-admin"), STR("*"), *state,
	    who(&t, "*:platform-admin")));
	assert_false(authz_outranks(who(&w, "*:platform-admin"), STR("iam.*"), *state,
	    who(&t, "*:platform-admin")));
	assert_true(authz_outranks(who(&w, "*:platform-admin"), STR("iam.*"), *state, who(&t, "")));
}

static void test_disabled_tenants(void **state)
{
	static const struct str disabled[] = { STR("acme"), STR("zeta") };
	static const struct {
		const char *who, *tenant;
		enum authz_reason reason;
	} places[] = {
		{ "acme:tenant-member", "acme", AUTHZ_TENANT_DISABLED },
		{ "acme:gone", "acme", AUTHZ_TENANT_DISABLED }, /* a member is told */
		{ "beta:tenant-member", "acme", AUTHZ_NOT_MEMBER }, /* a stranger is not */
		{ "*:platform-admin", "acme", AUTHZ_TENANT_DISABLED },
		{ "*:platform-admin", "zeta", AUTHZ_TENANT_DISABLED },
		{ "*:platform-admin", "beta", AUTHZ_GRANTED_ALL },
		{ "*:platform-admin", "*", AUTHZ_GRANTED_ALL },
		{ "*:platform-admin", NULL, AUTHZ_GRANTED_ALL },
		{ "acme:tenant-member,beta:tenant-member", "beta", AUTHZ_GRANTED },
		{ "!acme:tenant-member", "acme", AUTHZ_DISABLED },
	};
	struct role_grant g = { S("command.submit"), S("*") };
	struct role_def role = { .id = S("new"), .grants = &g, .n = 1 };
	struct role_set *set;
	struct who w;

	(void)state;
	assert_int_equal(role_set_new_without(NULL, 0, disabled, N(disabled), &set), OK);
	for (size_t i = 0; i < N(places); i++) {
		struct decision d = authz_decide(who(&w, places[i].who), set, str_c(places[i].tenant),
		    STR("command.submit"), STR("order"));

		if (d.reason != places[i].reason || d.allowed != (d.reason <= AUTHZ_GRANTED_ALL))
			fail_msg("case %zu: %s in %s", i, places[i].who, places[i].tenant);
	}
	/* it can be managed all the same */
	assert_true(authz_may_grant(who(&w, "*:platform-admin"), STR_NONE, set, STR("acme"), &role));
	role_set_unref(set);
}

/* Covering is inclusion: whenever one glob covers another, no string matches the second alone. */
static void test_covering_is_inclusion(void **state)
{
	static const char *const globs[] = { "", "*", "a", "a*", "*a", "a*b", "*a*", "ab*", "a**b", "*b*a*",
		"b*", "aa", "*aa*", "a*a" };
	static const char alphabet[] = "ab";

	for (size_t i = 0; i < N(globs); i++)
		for (size_t j = 0; j < N(globs); j++) {
			const struct role_grant g = { S("command.submit"), str_c(globs[i]) };
			const struct role_def held = { .id = S("held"), .grants = &g, .n = 1 };
			const struct role_grant h = { S("command.submit"), str_c(globs[j]) };
			const struct role_def wanted = { .id = S("wanted"), .grants = &h, .n = 1 };
			struct role_set *set;
			struct who w;
			bool covers, included = true;

			assert_int_equal(role_set_new(&held, 1, &set), OK);
			covers = authz_may_grant(who(&w, "t:held"), STR_NONE, set, STR("t"), &wanted);
			role_set_unref(set);
			for (unsigned v = 0; v < 127 * 2; v++) { /* all words of a and b up to length 6 */
				char word[8];
				size_t n = 0;

				for (unsigned x = v + 1; x > 1; x /= 2)
					word[n++] = alphabet[x & 1];
				if (str_glob(h.resource, str_n(word, n)) && !str_glob(g.resource, str_n(word, n)))
					included = false;
			}
			if (covers && !included)
				fail_msg("\"%s\" does not cover \"%s\"", globs[i], globs[j]);
			if (!covers && included && i != j && memchr(globs[j], '*', strlen(globs[j])) == NULL)
				fail_msg("\"%s\" covers \"%s\"", globs[i], globs[j]);
		}
	(void)state;
}

static void test_role_set(void **state)
{
	const struct role_set *r = *state;
	const struct role_def *d = role_set_find(r, STR("platform-admin"));

	assert_int_equal(role_set_count(r), N(defs) - 1 + 3);
	assert_non_null(d);
	assert_true(d->built_in);
	assert_int_equal(role_set_find(r, STR("tenant-member"))->n, 2);
	assert_null(role_set_find(r, STR("gone")));
	assert_null(role_set_find(r, STR("")));
	for (size_t i = 1; i < role_set_count(r); i++)
		assert_true(strcmp(role_set_at(r, i - 1)->id.p, role_set_at(r, i)->id.p) < 0);
}

static void test_rights(void **state)
{
	static const char *const known[] = { "command.submit", "iam.read", "iam.*", "*", "service.*" };
	static const char *const unknown[] = { "", ".", "iam", "iam.", "iam.delete", "i.*", ".*", "**",
		"iam.**", "iam*", "*.read", "command.submit " };

	(void)state;
	for (size_t i = 0; i < rights_count; i++)
		assert_true(right_is_known(str_c(rights_all[i].name)));
	for (size_t i = 0; i < N(known); i++)
		assert_true(right_is_known(str_c(known[i])));
	for (size_t i = 0; i < N(unknown); i++)
		if (right_is_known(str_c(unknown[i])))
			fail_msg("\"%s\" is known", unknown[i]);
	/* built-in roles grant rights that exist */
	for (size_t i = 0; i < role_set_count(*state); i++)
		for (size_t k = 0; k < role_set_at(*state, i)->n; k++)
			assert_true(right_is_known(role_set_at(*state, i)->grants[k].right));
}

static void test_no_memory(void **state)
{
	enum err e = E_NOMEM;

	(void)state;
	for (long n = 1; e != OK; n++) {
		struct role_set *r = NULL;

		heap_fail_after(n);
		e = role_set_new(defs, N(defs), &r);
		heap_fail_after(0);
		assert_true(e == OK || e == E_NOMEM);
		role_set_unref(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_decide, make_roles, free_roles),
		cmocka_unit_test_setup_teardown(test_may_grant, make_roles, free_roles),
		cmocka_unit_test_setup_teardown(test_outranks, make_roles, free_roles),
		cmocka_unit_test_setup_teardown(test_scopes, make_roles, free_roles),
		cmocka_unit_test(test_disabled_tenants),
		cmocka_unit_test(test_covering_is_inclusion),
		cmocka_unit_test_setup_teardown(test_role_set, make_roles, free_roles),
		cmocka_unit_test_setup_teardown(test_rights, make_roles, free_roles),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
