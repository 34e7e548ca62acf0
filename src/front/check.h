/* What the parts of a request's head must satisfy, beyond the form of each line (RFC 9110, RFC 9112):
 * what is not well-formed beyond doubt is refused, because another reader of the same bytes might see
 * another request in it. Pure functions; any thread. */
#ifndef FRONT_CHECK_H
#define FRONT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct request;

/* E_BAD_REQUEST with the reason, a static text for the caller: `return check_bad(why, "...")`. */
static inline enum err check_bad(const char **why, const char *text)
{
	*why = text;
	return E_BAD_REQUEST;
}

/* One of the methods that the house knows (request/op.h); they are case-sensitive (RFC 9110, 9.1). */
bool check_method(struct str s);

struct check_target {
	struct str path;      /* path and query, starting with "/"; or "*" */
	struct str authority; /* of the absolute form; STR_NONE otherwise */
};
/* Takes the raw target apart (RFC 9112, 3.2): origin form, absolute form (http and https), and "*"
 * with OPTIONS. Refuses bytes that are not visible ASCII, "#", broken percent-encoding, encoded
 * control characters (%00-%1F, %7F), and segments that are "." or ".." however encoded. "%2F" stays
 * encoded and never becomes a separator. E_BAD_REQUEST, and *why. */
enum err check_target(struct str method, struct str target, struct check_target *out, const char **why);

/* host [ ":" port ], no userinfo, not empty (RFC 9112, 3.2). */
bool check_authority(struct str s);

/* What the header fields of an HTTP/1 request must satisfy together: Host once and well-formed (1.1),
 * no Content-Length beside Transfer-Encoding, one Content-Length of digits, only `chunked`.
 * *length: of the body; CHECK_CHUNKED when the body tells itself. E_BAD_REQUEST, and *why. */
#define CHECK_CHUNKED UINT64_MAX
enum err check_framing(const struct request *r, bool http_1_0, uint64_t *length, const char **why);

/* Nothing but "100-continue" can be expected (RFC 9110, 10.1.1). E_EXPECTATION. */
enum err check_expect(const struct request *r);

#endif
