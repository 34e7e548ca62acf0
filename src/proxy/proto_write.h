/* Writes the fields of one protobuf message onto a buffer, where errors gather (buf_err). Any thread. */
#ifndef PROXY_PROTO_WRITE_H
#define PROXY_PROTO_WRITE_H

#include <stdint.h>

#include "base/str.h"

struct buf;

void proto_write_varint(struct buf *out, uint32_t number, uint64_t value);
/* A string, bytes, or a message that is packed already. */
void proto_write_bytes(struct buf *out, uint32_t number, struct str bytes);

#endif
