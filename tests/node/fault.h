/* A failure ordered by a test in the body of the query view "fault": what to do wrong, and for how
 * many requests. Parsing and counting only; each protocol carries it out itself. Any thread. */
#ifndef NODE_FAULT_H
#define NODE_FAULT_H

#include "problem.h"

#include <jansson.h>
#include <stddef.h>

enum fault_mode {
	FAULT_NONE,           /* answer {"fault":"none","count":n} */
	FAULT_STATUS,         /* answer with "status": an HTTP status, or a gRPC status on gRPC */
	FAULT_DELAY,          /* answer after "ms" */
	FAULT_CLOSE,          /* close the connection without a byte */
	FAULT_RESET_MID_BODY, /* half the body, then a TCP reset (gRPC: RST_STREAM) */
	FAULT_SHORT_BODY,     /* half the body, then a clean end */
	FAULT_BAD_FRAMING,    /* an answer that breaks RFC 9112; "kind" says which */
	FAULT_CHUNKED,        /* "bytes" of body in chunks */
	FAULT_UNTIL_CLOSE,    /* "bytes" of body that the end of the connection ends */
	FAULT_LARGE,          /* "bytes" of body with Content-Length */
	FAULT_REFUSE,         /* gRPC: RST_STREAM REFUSED_STREAM, never processed; HTTP: as close */
	FAULT_TEXT,           /* HTTP: a body that is not JSON */
	FAULT_GOAWAY,         /* gRPC: answer, then GOAWAY; HTTP: answer with Connection: close */
};

enum fault_kind {
	FRAMING_TWO_LENGTHS, /* Content-Length twice, differing */
	FRAMING_BOTH,        /* Content-Length and Transfer-Encoding: chunked */
	FRAMING_BAD_CHUNK,   /* a chunk size that is no number */
	FRAMING_BAD_STATUS,  /* a status line that is none */
	FRAMING_BAD_HEADER,  /* a space before the colon */
	FRAMING_LONG_HEAD,   /* a header of 256 KiB */
};

struct fault {
	enum fault_mode mode;
	enum fault_kind kind;
	int status;
	unsigned delay_ms, count; /* count: requests seen with this key, this one included */
	size_t bytes;
};

/* Reads {"mode",...,"key"?,"times"?}. With "key" the requests naming it are counted, and past
 * "times" of them the mode becomes FAULT_NONE: "fail twice, then work". */
enum problem fault_read(json_t *order, struct fault *f, struct verdict *v);
/* How many requests have named key. */
unsigned fault_count(const char *key);

#endif
