/* Networks in CIDR notation (RFC 4632, RFC 4291), IPv4 kept as IPv4-mapped IPv6. Plain values; any
 * thread. */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct cidr {
	uint8_t addr[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
	unsigned bits;    /* of the 128: an IPv4 /8 is 104 */
};

/* "10.0.0.0/8", "fd00::/8"; an address alone is a network of one. False for anything else, also for
 * bits set past the prefix. */
bool cidr_parse(struct str s, struct cidr *out);
/* An address as text ("10.1.2.3", "::1") in the 16-byte form. */
bool cidr_parse_addr(struct str s, uint8_t addr[16]);
bool cidr_match(const struct cidr *c, const uint8_t addr[16]);

#endif
