/* Tests of eight bytes at once. A result that is not 0 says that one of them may be such a byte; 0, that
 * none is: what is odd is then looked at byte by byte. Pure functions; any thread. */
#ifndef BASE_SWAR_H
#define BASE_SWAR_H

#include <stdint.h>
#include <string.h>

#define SWAR_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t swar_load(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}
/* Below n, which is at most 0x80. */
static inline uint64_t swar_below(uint64_t v, unsigned char n)
{
	return (v - SWAR_EACH(n)) & ~v & SWAR_EACH(0x80);
}
static inline uint64_t swar_equal(uint64_t v, unsigned char c)
{
	v ^= SWAR_EACH(c);
	return (v - SWAR_EACH(1)) & ~v & SWAR_EACH(0x80);
}
static inline uint64_t swar_not_ascii(uint64_t v)
{
	return v & SWAR_EACH(0x80);
}

#endif
