/* A strict JSON scanner (RFC 8259) that finds where values stand instead of building them, so that they
 * can be passed on byte for byte. Pure but for the struct: any thread. */
#ifndef PROXY_JSON_SCAN_H
#define PROXY_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define JSON_SCAN_DEPTH 128 /* arrays and objects within one another */

struct json_scan {
	struct str text;
	size_t at;         /* where the scan stands; after a failure, where it failed */
	const char *fault; /* constant text; NULL: none */
};

enum json_member { MEMBER_FOUND, MEMBER_END, MEMBER_BAD };

/* text must be UTF-8 (str_utf8). */
struct json_scan json_scan_of(struct str text);
/* Skips blanks and one value; false: malformed. *raw: the value without blanks around it. */
bool json_scan_value(struct json_scan *s, struct str *raw);
/* Steps into an object; false: there is none. */
bool json_scan_object(struct json_scan *s);
/* The next member; key and value are raw. `first` is the caller's, true at the start. */
enum json_member json_scan_member(struct json_scan *s, bool *first, struct str *key, struct str *value);
/* Steps into an array; false: there is none. */
bool json_scan_array(struct json_scan *s);
/* The next element, likewise. */
enum json_member json_scan_element(struct json_scan *s, bool *first, struct str *value);
/* Nothing but blanks is left. */
bool json_scan_end(struct json_scan *s);
/* E_BAD_JSON: what the scan met, and where. */
enum err json_scan_fail(const struct json_scan *s, struct fail *f);

/* The text of a raw string, escapes decoded, NUL-terminated. .p NULL: not a string, a lone surrogate, an
 * encoded NUL, or out of memory. */
struct str json_scan_text(struct arena *a, struct str raw);
/* The member `name` of an object, when it is one and the member is text; else .p NULL. */
struct str json_scan_find_text(struct arena *a, struct str json, struct str name);

#endif
