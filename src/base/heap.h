/* The allocator that the house's own code uses, so that tests can fail the n-th allocation.
 * Thread-safe as malloc is; the fault injection is for single-threaded tests. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>

/* NULL when out of memory. heap_zalloc zeroes. Free with heap_free (NULL allowed). */
void *heap_alloc(size_t n) __attribute__((malloc, warn_unused_result));
void *heap_zalloc(size_t n) __attribute__((malloc, warn_unused_result));
/* At an address that is a multiple of `align`, a power of two. */
void *heap_aligned(size_t align, size_t n) __attribute__((malloc, warn_unused_result));
void *heap_realloc(void *p, size_t n) __attribute__((warn_unused_result));
void *heap_dup(const void *p, size_t n) __attribute__((warn_unused_result));
char *heap_strdup(const char *z) __attribute__((warn_unused_result));
void heap_free(void *p);

/* Tests: the n-th allocation from now (1 = the next) and all that follow fail; 0 switches off.
 * Returns whether a failure has been injected since the last call. */
int heap_fail_after(long n);

#endif
