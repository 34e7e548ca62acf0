/* The framing of one gRPC message (gRPC over HTTP/2, "Length-Prefixed-Message"), incremental, and what
 * else of that protocol is text: percent-encoding, time limits, statuses of plain HTTP. Plain data: any
 * thread. */
#ifndef UPSTREAM_GRPC_FRAME_H
#define UPSTREAM_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define GRPC_PREFIX 5

struct grpc_frame {
	uint8_t prefix[GRPC_PREFIX];
	uint8_t have; /* bytes of prefix */
	uint32_t left; /* bytes of message to come */
};

void grpc_frame_write(uint32_t n, uint8_t out[GRPC_PREFIX]);
/* Takes bytes of the stream; appends those of the message to `out`. E_BAD_UPSTREAM: compressed, or more
 * than one message; E_LIMIT: the message would not fit into `out`. */
enum err grpc_frame_read(struct grpc_frame *f, struct str data, struct buf *out);
/* Whether exactly one whole message has been read. */
bool grpc_frame_complete(const struct grpc_frame *f);
/* Whether nothing at all has been read. */
bool grpc_frame_empty(const struct grpc_frame *f);

/* grpc-message: decodes %XX; what is malformed stays as it is. */
enum err grpc_message_decode(struct str s, struct buf *out);
/* grpc-timeout: at most eight digits and a unit, rounded up. */
#define GRPC_TIMEOUT_LEN 10
struct str grpc_timeout_write(int64_t us, char out[GRPC_TIMEOUT_LEN]);
/* The gRPC status for an HTTP status of an answer that has none ("HTTP to gRPC Status Code Mapping"). */
int grpc_status_of_http(int http);

#endif
