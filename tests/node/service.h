/* What each gRPC method of the node answers. Knows protobuf, not HTTP/2. Any thread. */
#ifndef NODE_SERVICE_H
#define NODE_SERVICE_H

#include "bytes.h"

struct tenant;

/* The status of a call whose method does not exist. */
#define GRPC_UNIMPLEMENTED 12

enum grpc_end {
	GRPC_END_ANSWER,
	GRPC_END_GOAWAY, /* answer, then GOAWAY */
	GRPC_END_RESET,  /* RST_STREAM INTERNAL_ERROR after half the message */
	GRPC_END_REFUSE, /* RST_STREAM REFUSED_STREAM */
	GRPC_END_CLOSE,  /* close the connection */
};

struct grpc_answer {
	int status; /* grpc-status */
	char text[240];
	struct bytes message; /* protobuf, when status is 0 */
	enum grpc_end end;
	unsigned delay_ms;
	struct tenant *in_flight; /* counted out by grpc_answer_release */
};

/* One received call; metadata is name NUL value NUL, in the order received. */
struct grpc_call {
	struct slice path, message, metadata;
};

void service_run(const struct grpc_call *c, struct grpc_answer *a);
void grpc_answer_release(struct grpc_answer *a);

#endif
