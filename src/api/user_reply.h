/* Users and sessions as JSON, the same wherever they are shown. No secret is ever in it. */
#ifndef API_USER_REPLY_H
#define API_USER_REPLY_H

struct jsonw;
struct user;

void user_write(struct jsonw *w, const struct user *u);
/* row: a struct session. */
void session_write(struct jsonw *w, const void *row);

#endif
