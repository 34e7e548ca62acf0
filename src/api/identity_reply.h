/* Identities at OpenID providers as JSON, the same wherever they are shown. */
#ifndef API_IDENTITY_REPLY_H
#define API_IDENTITY_REPLY_H

#include "base/jsonw.h"

/* row: a struct user_identity. */
void identity_write(struct jsonw *w, const void *row);

#endif
