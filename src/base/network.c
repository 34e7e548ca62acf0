#include "base/network.h"

#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

struct network network_of(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
	struct network n = { { 0 } };

	if (addr->sa_family == AF_INET6) {
		memcpy(n.b, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
	} else if (addr->sa_family == AF_INET) {
		memcpy(n.b, mapped, sizeof mapped);
		memcpy(n.b + 12, &((const struct sockaddr_in *)addr)->sin_addr, 4);
	}
	return n;
}

struct network network_site(struct network n)
{
	if (memcmp(n.b, mapped, sizeof mapped) != 0)
		memset(n.b + 6, 0, sizeof n.b - 6);
	return n;
}
