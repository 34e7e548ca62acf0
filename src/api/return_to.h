/* Where a browser may be sent when a sign-in has ended: addresses by oidc.return_to. An open redirect
 * would hand sign-ins to strangers, so what is compared is origin with origin and path with path. Pure
 * functions: any thread. */
#ifndef API_RETURN_TO_H
#define API_RETURN_TO_H

#include <stdbool.h>

#include "base/config.h"
#include "base/str.h"

/* Whether the address matches a pattern of the list. In scheme, host and port `*` stands for anything
 * but a slash; in path and query for anything; a pattern without path allows the bare origin alone.
 * Never: user names, fragments, dot segments, backslashes, anything that is not visible ASCII. */
bool return_to_allowed(const struct config_list *patterns, const char *url);

#endif
