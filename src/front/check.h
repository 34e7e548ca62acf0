/* The strict check of a request's head (RFC 9110, RFC 9112): what is not well-formed beyond doubt is
 * refused, because another reader of the same bytes might see another request in it.
 *
 * libmicrohttpd parses leniently and hides what it forgave: bare LF, NUL, obs-fold, blanks before a
 * colon. But it parses in place, overwriting only line ends and separators by NUL, so the head still
 * lies contiguous in its buffer; check_layout walks it and accepts only what a strict parser would have
 * left behind. Pure functions; any thread. */
#ifndef FRONT_CHECK_H
#define FRONT_CHECK_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "request/header.h"

struct request;

/* Where libmicrohttpd left the parts of one head. */
struct check_head {
	const char *method;  /* first byte of the request line */
	struct str target;   /* where it lay; its bytes may have been rewritten since */
	const char *version; /* "HTTP/1.1" */
	size_t n;            /* bytes from method to the end of the empty line */
	const struct header *h; /* fields in order, as libmicrohttpd delimited them */
	size_t nh;
};
/* OK only if the head is METHOD SP target SP version CRLF *(name ":" OWS value CRLF) CRLF and
 * nothing else. One thing cannot be told apart: a bare LF with a NUL beside
 * it, from CR LF; libmicrohttpd took it for the same line end. E_BAD_REQUEST. */
enum err check_layout(const struct check_head *head);

/* A token (RFC 9110, 5.6.2): names of fields and methods. */
bool check_token(struct str s);
/* A field value: visible ASCII, obs-text, blanks and tabs (RFC 9110, 5.5). */
bool check_value(struct str s);

struct check_target {
	struct str path;      /* path and query, starting with "/"; or "*" */
	struct str authority; /* of the absolute form; STR_NONE otherwise */
};
/* Takes the raw target apart (RFC 9112, 3.2): origin form, absolute form (http and https), and "*"
 * with OPTIONS. Refuses bytes that are not visible ASCII, "#", broken percent-encoding, encoded
 * control characters (%00-%1F, %7F), and segments that are "." or ".." however encoded. "%2F" stays
 * encoded and never becomes a separator. E_BAD_REQUEST. */
enum err check_target(struct str method, struct str target, struct check_target *out);

/* host [ ":" port ], no userinfo, not empty (RFC 9112, 3.2). */
bool check_authority(struct str s);

/* What the header fields of an HTTP/1 request must satisfy together: Host once and well-formed (1.1),
 * no Content-Length beside Transfer-Encoding, one Content-Length of digits, only `chunked`.
 * *length: of the body; CHECK_CHUNKED when the body tells itself. */
#define CHECK_CHUNKED UINT64_MAX
enum err check_framing(const struct request *r, bool http_1_0, uint64_t *length);

#endif
