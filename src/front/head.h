/* The head of an HTTP/1 request as it came off the wire: finding its end, and taking it apart in place
 * (RFC 9112, 2 to 5). Strict: a bare CR or LF, NUL, obs-fold, a blank too many or one before a colon is
 * refused and never repaired, because another reader of the same bytes might see another request in
 * them. What the parts must satisfy together is check.h's. Pure functions; any thread. */
#ifndef FRONT_HEAD_H
#define FRONT_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct request;

/* How far a head that comes in pieces has been looked at. Zero-initialise. */
struct head_scan {
	size_t at;   /* bytes that hold no line end but those that were seen */
	size_t line; /* where the current line starts; 0: in the request line */
};

/* Looks for the end of the head that starts at p; again with the same start and more bytes when *len,
 * its length with the empty line, comes back as 0. E_BAD_REQUEST (and *why, a static text), E_HTTP_VERSION:
 * it will never be one, which a request line says without waiting for the rest. */
enum err head_find(struct head_scan *s, const char *p, size_t n, size_t *len, const char **why);

/* Takes the head of n bytes at p, as found, apart into r: method, raw target, header fields, all as views
 * of p, names lower-cased in place. E_BAD_REQUEST (and *why), E_HTTP_VERSION, E_NOMEM. */
enum err head_parse(char *p, size_t n, struct request *r, bool *http_1_0, const char **why);

#endif
