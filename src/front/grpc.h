/* gRPC over HTTP/2 as bytes: the message prefix and the percent-encoding of grpc-message
 * (gRPC PROTOCOL-HTTP2). Pure; any thread. */
#ifndef FRONT_GRPC_H
#define FRONT_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct arena;
struct buf;

#define GRPC_PREFIX 5

/* One unary message, read piece by piece. Zero-initialise. */
struct grpc_reader {
	unsigned char prefix[GRPC_PREFIX];
	unsigned have; /* bytes of prefix */
};
/* Takes the next bytes: the prefix off, the message into out. E_COMPRESSED; E_MESSAGE_COUNT: more than one
 * message; E_BODY_TOO_LARGE: the prefix says more than max; E_BAD_REQUEST: a prefix that is none;
 * E_NOMEM. */
enum err grpc_read(struct grpc_reader *g, struct str data, size_t max, struct buf *out);
/* The stream has ended: E_MESSAGE_COUNT when no message came, E_BAD_REQUEST when it is not complete. */
enum err grpc_end(const struct grpc_reader *g, const struct buf *out);

void grpc_prefix(size_t n, unsigned char out[GRPC_PREFIX]);
#define GRPC_MESSAGE 2048 /* bytes of a message that go out: clients take few KiB of trailers */
/* All but visible ASCII and blank becomes %XX, and so does "%". Cut between two characters when it is too
 * long. In the arena; .p NULL: no memory. */
struct str grpc_encode_message(struct str s, struct arena *a);

#endif
