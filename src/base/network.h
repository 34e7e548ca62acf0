/* A client's address as far as it tells clients apart: IPv4 whole, IPv6 by its /64, since one host
 * commonly holds a whole one. Plain values; any thread. */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include <stdint.h>
#include <sys/socket.h>

struct network {
	uint8_t b[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
};

/* All zero for what has no IP address. */
struct network network_of(const struct sockaddr *addr);
/* What a site is commonly given: the /48 of an IPv6 network; IPv4 is itself. */
struct network network_site(struct network n);

#endif
