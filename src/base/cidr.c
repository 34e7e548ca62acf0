#include "base/cidr.h"

#include <arpa/inet.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool parse_addr(struct str s, uint8_t addr[16], bool *v4)
{
	char t[INET6_ADDRSTRLEN];

	if (s.n == 0 || s.n >= sizeof t)
		return false;
	memcpy(t, s.p, s.n);
	t[s.n] = '\0';
	*v4 = inet_pton(AF_INET, t, addr + 12) == 1;
	if (!*v4)
		return inet_pton(AF_INET6, t, addr) == 1;
	memcpy(addr, mapped, sizeof mapped);
	return true;
}

bool cidr_parse_addr(struct str s, uint8_t addr[16])
{
	bool v4;

	return parse_addr(s, addr, &v4);
}

/* The byte of the netmask at position i. */
static uint8_t mask_at(unsigned bits, unsigned i)
{
	if (bits >= (i + 1) * 8)
		return 0xff;
	return bits <= i * 8 ? 0 : (uint8_t)(0xff00 >> (bits - i * 8));
}

bool cidr_parse(struct str s, struct cidr *out)
{
	struct str len, addr = str_cut(s, '/', &len);
	uint64_t bits;
	bool v4;

	if (!parse_addr(addr, out->addr, &v4))
		return false;
	if (len.p == NULL)
		bits = v4 ? 32 : 128;
	else if (!str_u64(len, v4 ? 32 : 128, &bits))
		return false;
	out->bits = (unsigned)bits + (v4 ? 96 : 0);
	for (unsigned i = 0; i < 16; i++)
		if ((out->addr[i] & ~mask_at(out->bits, i)) != 0)
			return false;
	return true;
}

bool cidr_match(const struct cidr *c, const uint8_t addr[16])
{
	for (unsigned i = 0; i < 16; i++)
		if (((c->addr[i] ^ addr[i]) & mask_at(c->bits, i)) != 0)
			return false;
	return true;
}
