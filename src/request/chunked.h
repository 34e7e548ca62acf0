/* The chunked transfer coding (RFC 9112, 7.1), read strictly and as it comes: spans of data in what is
 * fed. Extensions and trailer fields are checked and dropped. Does no input or output and allocates
 * nothing. Plain data: any thread. */
#ifndef REQUEST_CHUNKED_H
#define REQUEST_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CHUNKED_MAX_OVERHEAD 8192 /* bytes of extensions and trailers of one body */

enum chunked_step {
	CHUNKED_MORE, /* all input is used; more is needed */
	CHUNKED_DATA, /* a span of body; call again with the rest */
	CHUNKED_DONE, /* the body is complete */
	CHUNKED_BAD
};

/* Zero-initialise. */
struct chunked {
	uint64_t left;   /* of the chunk */
	size_t overhead;
	uint8_t state, digits, trailer_line;
};

/* *used is always set; *data with CHUNKED_DATA. */
enum chunked_step chunked_read(struct chunked *c, const char *p, size_t n, size_t *used,
    struct str *data);

#endif
