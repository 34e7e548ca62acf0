/* Bodies of the type application/x-www-form-urlencoded, and credentials that are written like them (RFC
 * 6749, 2.3.1). What a form holds besides the fields asked for is ignored, as RFC 6749, 3.2 wants. The
 * thread that owns the request. */
#ifndef API_FORM_H
#define API_FORM_H

#include "base/err.h"
#include "base/str.h"

struct request;

/* The decoded value of a field of the text (a query is written like a form), in the request's arena; .p
 * NULL when it is absent or empty. name: has no blank, and counts however it is written (`grant%5ftype`).
 * E_BAD_REQUEST: given twice, or not percent-encoded UTF-8. */
enum err form_value(struct request *r, struct str text, const char *name, struct str *out);
/* The same of r->body. */
enum err form_field(struct request *r, const char *name, struct str *out);

#endif
