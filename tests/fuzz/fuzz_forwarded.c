/* x-forwarded-for and x-forwarded-proto of a proxy that is trusted: a byte for the peer, then lines. The client
 * must be who a naive reading of all lines as one list says; nothing is believed of a peer that is not trusted. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "request/forwarded.h"
#include "request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

static void put_peer(struct request *r, uint8_t how)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&r->peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&r->peer;

	if (how % 3 == 0) {
		v6->sin6_family = AF_INET6;
		v6->sin6_addr.s6_addr[0] = how & 4 ? 0xfd : 0x20;
	} else {
		v4->sin_family = AF_INET;
		v4->sin_addr.s_addr = htonl(how & 4 ? 0x0a000001 : 0xc0000201);
	}
}

static bool trusted_peer(uint8_t how)
{
	return (how & 4) != 0;
}

/* ---- the list, naively ------------------------------------------------------------------------ */

#define HOPS 32

static bool address(const char *t, struct in6_addr *out)
{
	char plain[64];
	struct in_addr v4;

	if (inet_pton(AF_INET, t, &v4) == 1) {
		snprintf(plain, sizeof plain, "::ffff:%s", t);
		t = plain;
	}
	return inet_pton(AF_INET6, t, out) == 1;
}

static bool hop(char *t, struct in6_addr *out)
{
	char *end;

	t += strspn(t, " \t");
	for (end = t + strlen(t); end > t && strchr(" \t", end[-1]) != NULL; end--)
		end[-1] = '\0';
	if (*t == '[') {
		end = strchr(t, ']');
		if (end != NULL)
			*end = '\0';
		return end != NULL && address(t + 1, out);
	}
	if (address(t, out))
		return true;
	end = strchr(t, ':');
	if (end != NULL)
		*end = '\0';
	return end != NULL && address(t, out);
}

static bool ours(const struct in6_addr *a)
{
	return a->s6_addr[0] == 0xfd || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 10);
}

/* list: all lines, joined by commas; empty: there was none. */
static void client(char *list, bool any, struct in6_addr *at)
{
	for (int hops = 0; any && hops < HOPS; hops++) {
		char *comma = strrchr(list, ',');
		struct in6_addr next;

		if (!hop(comma != NULL ? comma + 1 : list, &next))
			return;
		*at = next;
		if (!ours(at) || comma == NULL)
			return;
		*comma = '\0';
	}
}

static void expect(struct request *r, const struct in6_addr *want)
{
	struct in6_addr got;

	if (!address(request_source(r).p, &got) || memcmp(&got, want, sizeof got) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cidr nets[2];
	struct config_networks trusted = { .v = nets, .n = 2 };
	char list[8192] = "";
	struct in6_addr want;
	struct request r;
	struct str line, rest;
	bool tls, any = false;

	if (n < 1 || n > 4096 || memchr(data + 1, '\0', n - 1) != NULL)
		return 0;
	cidr_parse(STR("10.0.0.0/8"), &nets[0]);
	cidr_parse(STR("fd00::/8"), &nets[1]);
	request_init(&r);
	put_peer(&r, data[0]);
	tls = r.tls = (data[0] & 8) != 0;
	address(request_source(&r).p, &want);
	rest = str_n((const char *)data + 1, n - 1);
	while (rest.p != NULL) {
		line = str_cut(rest, '\n', &rest);
		if (line.n > 0 && line.p[0] == 'p') {
			(void)request_add_field(&r, STR("x-forwarded-proto"), str_skip(line, 1));
			continue;
		}
		if (request_add_field(&r, STR("x-forwarded-for"), line) != OK)
			break;
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%.*s", any ? "," : "", STR_ARG(line));
		any = true;
	}
	forwarded_apply(&r, &trusted);
	if (trusted_peer(data[0]))
		client(list, any, &want);
	else if (r.tls != tls)
		abort();
	expect(&r, &want);
	request_release(&r);
	return 0;
}
