/* What the kernel tells of a client's socket. Any thread. */
#ifndef FRONT_SOCK_H
#define FRONT_SOCK_H

#include <stdint.h>

/* Bytes that the other side has acknowledged, in all; 0 when the kernel does not say. */
uint64_t sock_acked(int fd);
/* Bytes that the other side has sent, in all. */
uint64_t sock_received(int fd);

#endif
