/* A strict parser for HTTP/1.1 requests (RFC 9112): the head, and chunked bodies. Views point into
 * the bytes parsed. No state, any thread. */
#ifndef NODE_REQUEST_H
#define NODE_REQUEST_H

#include "bytes.h"

#define REQUEST_MAX_HEAD    (64u << 10)
#define REQUEST_MAX_BODY    (64u << 20)
#define REQUEST_MAX_HEADERS 100

struct header {
	struct slice name, value;
};

struct request {
	struct slice method, target;
	struct header headers[REQUEST_MAX_HEADERS];
	size_t nheaders, head_len, content_length;
	bool chunked, keep_alive, expect_continue;
};

/* 0: complete; -1: more bytes are needed; else the HTTP status to refuse it with. */
int request_head(struct request *r, const char *data, size_t len);

/* Decodes a chunked body (RFC 9112 §7.1) from data into body. 0: complete, *used bytes read; -1:
 * more are needed (start again then); else the HTTP status to refuse it with. */
int request_chunks(const char *data, size_t len, struct bytes *body, size_t *used);

/* The value of the first header of that name, or an empty slice. */
struct slice request_header(const struct request *r, const char *name);

#endif
