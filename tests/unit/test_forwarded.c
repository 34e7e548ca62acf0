#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "base/config.h"
#include "base/network.h"
#include "request/forwarded.h"
#include "request/request.h"

static void put_peer(struct request *r, const char *text)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&r->peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&r->peer;

	memset(&r->peer, 0, sizeof r->peer);
	v4->sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		return;
	v6->sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
}

static void apply(struct request *r, const char *peer, const char *const lines[], const char *proto)
{
	struct cidr nets[2];
	struct config_networks trusted = { .v = nets, .n = 2 };

	assert_true(cidr_parse(STR("10.0.0.0/8"), &nets[0]));
	assert_true(cidr_parse(STR("fd00::/8"), &nets[1]));
	put_peer(r, peer);
	for (int i = 0; lines[i] != NULL; i++)
		assert_int_equal(request_add_field(r, STR("x-forwarded-for"), str_c(lines[i])), OK);
	if (proto != NULL)
		assert_int_equal(request_add_field(r, STR("x-forwarded-proto"), str_c(proto)), OK);
	forwarded_apply(r, &trusted);
}

static void the_client_is_the_last_that_is_not_ours(void **state)
{
	static const struct {
		const char *peer, *lines[4], *want;
	} t[] = {
		{ "192.0.2.1", { "198.51.100.1" }, "192.0.2.1" }, /* not from a proxy of ours */
		{ "10.0.0.1", { NULL }, "10.0.0.1" },
		{ "10.0.0.1", { "198.51.100.1" }, "198.51.100.1" },
		{ "10.0.0.1", { "1.1.1.1, 198.51.100.1" }, "198.51.100.1" }, /* the client's own say */
		{ "10.0.0.1", { "1.1.1.1, 198.51.100.1, 10.9.9.9" }, "198.51.100.1" },
		{ "10.0.0.1", { "1.1.1.1", "198.51.100.1", "10.9.9.9 ,10.8.8.8" }, "198.51.100.1" },
		{ "10.0.0.1", { "10.1.1.1, 10.9.9.9" }, "10.1.1.1" },
		{ "10.0.0.1", { "198.51.100.1:4711" }, "198.51.100.1" },
		{ "10.0.0.1", { "2001:db8::7" }, "2001:db8::7" },
		{ "10.0.0.1", { "[2001:db8::7]:443" }, "2001:db8::7" },
		{ "fd00::1", { "198.51.100.1, [fd00::2]" }, "198.51.100.1" },
		{ "::ffff:10.0.0.1", { "198.51.100.1" }, "198.51.100.1" },
		{ "10.0.0.1", { "198.51.100.1, unknown" }, "10.0.0.1" },
		{ "10.0.0.1", { "198.51.100.1, unknown, 10.2.2.2" }, "10.2.2.2" },
		{ "10.0.0.1", { "198.51.100.1," }, "10.0.0.1" },
		{ "10.0.0.1", { "" }, "10.0.0.1" },
		{ "10.0.0.1", { "[" }, "10.0.0.1" },
		{ "10.0.0.1", { "999.1.1.1" }, "10.0.0.1" },
	};
	struct request r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		request_init(&r);
		apply(&r, t[i].peer, t[i].lines, NULL);
		assert_string_equal(request_source(&r).p, t[i].want);
		request_release(&r);
	}
}

static void a_long_list_is_not_walked_for_ever(void **state)
{
	char line[4096] = "198.51.100.1";
	const char *lines[] = { line, NULL };
	struct request r;

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(line, ", 10.3.3.3");
	request_init(&r);
	apply(&r, "10.0.0.1", lines, NULL);
	assert_string_equal(request_source(&r).p, "10.3.3.3");
	request_release(&r);
}

static void tls_is_what_the_proxy_says(void **state)
{
	static const struct {
		const char *peer, *proto;
		bool was, is;
	} t[] = {
		{ "10.0.0.1", "https", false, true }, { "10.0.0.1", "HTTPS", false, true },
		{ "10.0.0.1", "http", true, false }, { "10.0.0.1", "https, http", true, false },
		{ "10.0.0.1", NULL, true, true }, { "10.0.0.1", NULL, false, false },
		{ "192.0.2.1", "https", false, false }, { "192.0.2.1", "http", true, true },
	};
	static const char *const none[] = { NULL };
	struct request r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		request_init(&r);
		r.tls = t[i].was;
		apply(&r, t[i].peer, none, t[i].proto);
		assert_int_equal(r.tls, t[i].is);
		request_release(&r);
	}
}

static void networks(const char *a, const char *b, bool same, bool same_site)
{
	struct request x = { 0 }, y = { 0 };
	struct network p, q;

	put_peer(&x, a);
	put_peer(&y, b);
	p = network_of((struct sockaddr *)&x.peer);
	q = network_of((struct sockaddr *)&y.peer);
	assert_int_equal(memcmp(&p, &q, sizeof p) == 0, same);
	p = network_site(p);
	q = network_site(q);
	assert_int_equal(memcmp(&p, &q, sizeof p) == 0, same_site);
}

static void a_v6_host_is_its_64(void **state)
{
	(void)state;
	networks("192.0.2.1", "192.0.2.1", true, true);
	networks("192.0.2.1", "192.0.2.2", false, false);
	networks("192.0.2.1", "::ffff:192.0.2.1", true, true);
	networks("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true, true);
	networks("2001:db8:1:2::1", "2001:db8:1:3::1", false, true);
	networks("2001:db8:1:2::1", "2001:db8:2:2::1", false, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_client_is_the_last_that_is_not_ours),
		cmocka_unit_test(a_long_list_is_not_walked_for_ever),
		cmocka_unit_test(tls_is_what_the_proxy_says),
		cmocka_unit_test(a_v6_host_is_its_64),
	};

	return cmocka_run_group_tests_name("forwarded", tests, NULL, NULL);
}
