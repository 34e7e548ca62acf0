/* A strict, incremental parser for HTTP/1.1 responses (RFC 9112): the head in place, the body as
 * spans of what is fed. What is irregular is refused, never repaired: bare LF, obs-fold, NUL, both
 * framings, differing lengths, a length with 204, bad chunks, oversized heads. Does no input or
 * output and allocates nothing. Plain data: any thread. */
#ifndef UPSTREAM_RESPONSE_H
#define UPSTREAM_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "request/chunked.h"
#include "request/header.h"

#define RESPONSE_HEADERS 96       /* fields at most */
#define RESPONSE_MAX_HEAD 32768   /* bytes, interim responses included */
#define RESPONSE_CONNECTIONS 4    /* Connection fields at most */

enum response_step {
	RESPONSE_MORE, /* all input is used; more is needed */
	RESPONSE_DATA, /* a span of body; call again with the rest */
	RESPONSE_DONE, /* the head, or the whole response, is complete */
	RESPONSE_BAD   /* r->fault says why; the connection is of no use any more */
};

enum response_body { BODY_EMPTY, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE };

struct response {
	int status;
	struct header headers[RESPONSE_HEADERS]; /* lower-case; hop-by-hop and framing ones left out */
	size_t nheaders;
	enum response_body framing;
	uint64_t length;   /* of a BODY_LENGTH body */
	bool keep_alive;   /* the connection may carry another exchange */
	const char *fault; /* constant text */

	/* ---- the parser's own ---- */
	bool to_head, http10, line_read, has_length, has_chunked;
	char *base;      /* where the head starts; headers are views behind it */
	size_t at;       /* of the next line in it */
	struct str connection[RESPONSE_CONNECTIONS];
	size_t nconnection;
	uint64_t left;   /* of a body whose length is known */
	struct chunked chunked;
};

/* to_head: the response answers HEAD and so has no body (RFC 9110, 9.3.2). */
void response_init(struct response *r, bool to_head);
/* Reads the head, which starts at p; call again with the same start and more bytes after
 * RESPONSE_MORE. Names are lower-cased in place. Interim responses (1xx) are skipped; 101 is refused.
 * *used: bytes of p that the head took, set with RESPONSE_DONE. */
enum response_step response_head(struct response *r, char *p, size_t n, size_t *used);
/* The head's bytes now stand at p: moves the views. */
void response_move(struct response *r, char *p);
/* Reads the body. *used is always set; *data with RESPONSE_DATA. */
enum response_step response_body(struct response *r, const char *p, size_t n, size_t *used,
    struct str *data);
/* The connection ended: RESPONSE_DONE when that is what ends the body, else RESPONSE_BAD. Only after
 * a complete head. */
enum response_step response_eof(struct response *r);

#endif
