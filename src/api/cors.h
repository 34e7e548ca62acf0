/* Cross-origin resource sharing (Fetch, 3.2) for the origins of cors.origins. Pure; any thread. */
#ifndef API_CORS_H
#define API_CORS_H

#include <stdbool.h>

#include "base/str.h"

struct config_list;
struct request;

/* Whether the request's Origin is in `origins` ("*" allows any, without credentials). */
bool cors_allows(const struct request *r, const struct config_list *origins);
/* Adds access-control-* to the reply when it is. Once, before anything is decided: a page must be able to
 * read every answer, also a refusal. */
void cors_apply(struct request *r, const struct config_list *origins);
/* Whether a page of another origin made a browser send this, one that is not in `origins` by its name. By
 * RFC 6454 browsers say so of all that changes something. */
bool cors_is_foreign(const struct request *r, const struct config_list *origins);
/* Whether this is a preflight (OPTIONS with Access-Control-Request-Method). */
bool cors_is_preflight(const struct request *r);
/* Adds what a preflight wants to know; `allow` is the list of methods. */
void cors_preflight(struct request *r, struct str allow);

#endif
