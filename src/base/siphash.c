#include "base/siphash.h"

#include <endian.h>

#include "base/rnd.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static inline void rounds(struct state *s, int n)
{
	while (n-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static inline void absorb(struct state *s, uint64_t m)
{
	s->v3 ^= m;
	rounds(s, 2);
	s->v0 ^= m;
}

/* The last 0 to 7 bytes, and the length in the top byte. */
static uint64_t tail(const char *p, size_t left, size_t total)
{
	uint64_t m = (uint64_t)total << 56;

	for (size_t i = 0; i < left; i++)
		m |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return m;
}

struct siphash_key siphash_key_new(void)
{
	struct siphash_key k;

	rnd_bytes(&k, sizeof k);
	return k;
}

uint64_t siphash(const struct siphash_key *key, struct str s)
{
	struct state st = {
		key->k0 ^ UINT64_C(0x736f6d6570736575), key->k1 ^ UINT64_C(0x646f72616e646f6d),
		key->k0 ^ UINT64_C(0x6c7967656e657261), key->k1 ^ UINT64_C(0x7465646279746573)
	};
	size_t i = 0;

	for (; s.n - i >= 8; i += 8) {
		uint64_t m;

		memcpy(&m, s.p + i, 8);
		absorb(&st, le64toh(m));
	}
	absorb(&st, tail(s.n > 0 ? s.p + i : s.p, s.n - i, s.n));
	st.v2 ^= 0xff;
	rounds(&st, 4);
	return st.v0 ^ st.v1 ^ st.v2 ^ st.v3;
}
