/* A careful scan over the fields of one protobuf message, without building it: for messages that pass
 * through, and for views instead of copies. Pure but for the struct: any thread. */
#ifndef PROXY_PROTO_SCAN_H
#define PROXY_PROTO_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum proto_type { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

struct proto_field {
	uint32_t number;
	enum proto_type type;
	uint64_t value;   /* PROTO_VARINT */
	struct str bytes; /* PROTO_BYTES: a view */
};

struct proto_scan {
	struct str rest;
	bool bad; /* the message is malformed */
};

/* The next field; false at the end, and when the message is malformed. Groups are refused. */
bool proto_scan_next(struct proto_scan *s, struct proto_field *f);

#endif
