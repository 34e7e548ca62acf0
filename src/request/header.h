/* The header fields that the house itself looks at, and the form of any header field. Names are
 * lower-case once a request has passed the front. Plain data. */
#ifndef REQUEST_HEADER_H
#define REQUEST_HEADER_H

#include "base/str.h"

struct header {
	struct str name, value;
};

/* name in the enum, as on the wire */
#define HEADER_TABLE(H) \
	H(ACCEPT, "accept") \
	H(AUTHORIZATION, "authorization") \
	H(CONNECTION, "connection") \
	H(CONTENT_LENGTH, "content-length") \
	H(CONTENT_TYPE, "content-type") \
	H(COOKIE, "cookie") \
	H(CORRELATION_ID, "x-correlation-id") \
	H(EXPECT, "expect") \
	H(FORWARDED_FOR, "x-forwarded-for") \
	H(FORWARDED_PROTO, "x-forwarded-proto") \
	H(GRPC_TIMEOUT, "grpc-timeout") \
	H(HOST, "host") \
	H(IDEMPOTENCY_KEY, "idempotency-key") \
	H(IF_MATCH, "if-match") \
	H(IF_NONE_MATCH, "if-none-match") \
	H(ORIGIN, "origin") \
	H(REQUEST_TIMEOUT_MS, "x-request-timeout-ms") \
	H(TENANT_ID, "x-tenant-id") \
	H(TE, "te") \
	H(TRACEPARENT, "traceparent") \
	H(TRACESTATE, "tracestate") \
	H(TRANSFER_ENCODING, "transfer-encoding") \
	H(UPGRADE, "upgrade") \
	H(USER_AGENT, "user-agent")

enum header_id {
#define H(id, name) HDR_##id,
	HEADER_TABLE(H)
#undef H
	HDR__COUNT
};

/* token (RFC 9110, 5.6.2): names of fields, methods. Not empty. */
bool header_is_token(struct str s);
/* field-value (RFC 9110, 5.5): visible ASCII, obs-text, blanks and tabs; may be empty. */
bool header_is_value(struct str s);
/* Takes a line without its CR LF apart (field-line = field-name ":" OWS field-value OWS; RFC 9112, 5) and
 * lower-cases the name in place. False when it is anything else: obs-fold, a blank before the colon. */
bool header_split(char *line, size_t n, struct header *out);
/* Whether `list` (#token; RFC 9110, 5.6.1) has the member, which is lower-case. */
bool header_lists(struct str list, struct str member);
/* The content type of gRPC with protobuf messages: "application/grpc" or "application/grpc+proto". */
bool header_is_grpc(struct str content_type);

/* The id of a lower-case name, or HDR__COUNT. */
enum header_id header_lookup(struct str name);
struct str header_name(enum header_id id);

#endif
