/* Cross-origin resource sharing (Fetch, 3.2) for the origins of cors.origins. Pure; any thread. */
#ifndef API_CORS_H
#define API_CORS_H

#include <stdbool.h>

#include "base/str.h"

struct config_list;
struct request;

/* Adds access-control-* to the reply when the request's Origin is in `origins` ("*"
 * allows any, without credentials). Returns whether it was allowed. */
bool cors_apply(struct request *r, const struct config_list *origins);
/* Whether this is a preflight (OPTIONS with Access-Control-Request-Method). */
bool cors_is_preflight(const struct request *r);
/* Adds what a preflight wants to know; `allow` is the list of methods. */
void cors_preflight(struct request *r, struct str allow);

#endif
