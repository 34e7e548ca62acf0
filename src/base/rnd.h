/* Random bytes from the kernel's generator. Any thread. Aborts when the kernel cannot give any:
 * there is nothing safe to go on with. */
#ifndef BASE_RND_H
#define BASE_RND_H

#include <stddef.h>

/* For keys, tokens, ids: small requests are served from a per-thread block that is wiped as it is
 * handed out and dropped after fork. */
void rnd_bytes(void *out, size_t n);

#endif
