/* The fields of every body that control-lane handlers read, next to the handler that reads it: for the
 * reader and for openapi.json. Constant data. */
#ifndef API_BODIES_H
#define API_BODIES_H

#include "api/body.h"

extern const struct body_field body_signup[], body_signin[], body_refresh[], body_signout[],
    body_change_password[];

#endif
