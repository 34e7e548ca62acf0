/* Sorts many things by a 64-bit key in time that grows with their number alone (least significant byte
 * first; bytes that all keys share cost nothing). Stable. Pure but for the memory it borrows: any
 * thread. */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct radix_item {
	uint64_t key;
	const void *p;
};

/* False: no memory; v is then in some order. */
bool radix_sort(struct radix_item *v, size_t n) __attribute__((warn_unused_result));

#endif
