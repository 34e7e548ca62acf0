/* The process_* families, read from /proc. Any thread. */
#ifndef OBS_PROCESS_H
#define OBS_PROCESS_H

#include <stdint.h>

struct buf;

/* started: wall, microseconds. */
void process_write(int64_t started, struct buf *out);

#endif
