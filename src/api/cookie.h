/* Cookies of this host alone (RFC 6265bis, 4.1.3.2: the prefix __Host-): over TLS, not for scripts, and sent
 * along when another site leads the browser here, but not from within its pages (SameSite=Lax). The
 * thread that owns the request. */
#ifndef API_COOKIE_H
#define API_COOKIE_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct request;

/* Names are without the prefix, which is added here. */

/* The value of the cookie with this name, however many Cookie fields there are (RFC 9113, 8.2.3); .p NULL
 * when it is not there, or there twice. */
struct str cookie_find(const struct request *r, struct str name);
/* Adds Set-Cookie for `seconds`; 0: the browser forgets it. E_NOMEM. */
enum err cookie_set(struct request *r, struct str name, struct str value, int seconds);

#endif
