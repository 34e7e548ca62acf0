#include "request/forwarded.h"

#include <arpa/inet.h>

#include "base/config.h"
#include "request/request.h"

#define HOPS_MAX 32

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* The 16-byte form of cidr.h. */
static bool address_of(const struct sockaddr_storage *peer, uint8_t addr[16])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;

	if (peer->ss_family == AF_INET6) {
		memcpy(addr, &v6->sin6_addr, 16);
	} else if (peer->ss_family == AF_INET) {
		memcpy(addr, mapped, sizeof mapped);
		memcpy(addr + 12, &v4->sin_addr, 4);
	}
	return peer->ss_family == AF_INET || peer->ss_family == AF_INET6;
}

static void set_peer(struct request *r, const uint8_t addr[16])
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&r->peer;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&r->peer;

	memset(&r->peer, 0, sizeof r->peer);
	if (memcmp(addr, mapped, sizeof mapped) == 0) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, addr + 12, 4);
	} else {
		v6->sin6_family = AF_INET6;
		memcpy(&v6->sin6_addr, addr, 16);
	}
}

static bool is_trusted(const struct config_networks *trusted, const uint8_t addr[16])
{
	for (size_t i = 0; i < trusted->n; i++)
		if (cidr_match(&trusted->v[i], addr))
			return true;
	return false;
}

/* "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711". */
static bool parse_hop(struct str s, uint8_t addr[16])
{
	struct str port, host = s;
	const char *close;

	if (s.n > 0 && s.p[0] == '[') {
		close = memchr(s.p, ']', s.n);
		return close != NULL && cidr_parse_addr(str_n(s.p + 1, (size_t)(close - s.p) - 1), addr);
	}
	if (cidr_parse_addr(s, addr))
		return true;
	host = str_cut(s, ':', &port);
	return port.p != NULL && cidr_parse_addr(host, addr);
}

/* What stands behind the last comma; *list becomes what stands before it. */
static struct str cut_last(struct str *list)
{
	size_t i = list->n;
	struct str last;

	while (i > 0 && list->p[i - 1] != ',')
		i--;
	last = str_trim(str_skip(*list, i));
	*list = i > 0 ? str_n(list->p, i - 1) : STR_NONE;
	return last;
}

/* From the end of one line on; false when the walk is over. */
static bool walk(struct str line, const struct config_networks *trusted, uint8_t client[16], int *hops)
{
	uint8_t hop[16];

	while (line.p != NULL) {
		if (!parse_hop(cut_last(&line), hop) || ++*hops > HOPS_MAX)
			return false;
		memcpy(client, hop, 16);
		if (!is_trusted(trusted, hop))
			return false;
	}
	return true;
}

void forwarded_apply(struct request *r, const struct config_networks *trusted)
{
	struct str proto = request_known(r, HDR_FORWARDED_PROTO);
	uint8_t client[16];
	int hops = 0;

	if (trusted->n == 0 || !address_of(&r->peer, client) || !is_trusted(trusted, client))
		return;
	for (size_t i = r->nheaders; i > 0; i--)
		if (str_eq(r->headers[i - 1].name, STR("x-forwarded-for")) &&
		    !walk(r->headers[i - 1].value, trusted, client, &hops))
			break;
	set_peer(r, client);
	if (r->known_count[HDR_FORWARDED_PROTO] == 1)
		r->tls = str_ieq(str_trim(cut_last(&proto)), STR("https"));
}
