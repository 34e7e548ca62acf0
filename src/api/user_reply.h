/* Users and sessions as JSON, the same wherever they are shown. No secret is ever in it. */
#ifndef API_USER_REPLY_H
#define API_USER_REPLY_H

#include <stddef.h>

#include "base/jsonw.h"

struct user;

void user_write(struct jsonw *w, const struct user *u);
/* row: a struct session. */
void session_write(struct jsonw *w, const void *row);
/* text, or null when s.p is NULL */
void jsonw_kstr_or_null(struct jsonw *w, const char *key, struct str s);

#endif
