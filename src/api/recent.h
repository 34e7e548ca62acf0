/* What a stolen session must not be enough for: changes to the ways in need a sign-in of a moment ago. Any
 * lane. */
#ifndef API_RECENT_H
#define API_RECENT_H

#include "base/err.h"

struct request;

/* E_RECENT_SIGNIN when the caller signed in more than five minutes ago. */
enum err need_recent_signin(const struct request *r, struct fail *f);
/* The same of a caller that must be in a session: E_FORBIDDEN when it is in none. */
enum err need_recent_session(const struct request *r, struct fail *f);

#endif
