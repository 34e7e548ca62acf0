/* Calls that a row of the table describes whole: path, query and body from the arguments, all pages of
 * a list, printing, --dry-run. Verbs with a mind of their own use its parts. One thread. */
#ifndef GWCTL_REST_H
#define GWCTL_REST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct client_reply;
struct client_request;
struct gwctl;
struct json_t;

#define REST_PATH_MAX 2048

/* client_call with the id of a failed request kept for the message, and an Idempotency-Key of its own on
 * a POST that has none. */
enum err rest_call(struct gwctl *g, const struct client_request *q, struct client_reply *r,
    struct fail *f);
/* GET; the caller owns *out. */
enum err rest_get(struct gwctl *g, const char *path, struct json_t **out, struct fail *f);
/* Does what changes something: asks first when the command destroys, prints instead of doing with
 * --dry-run, prints the answer. The body is the caller's, may be NULL; secrets in it are not
 * printed. */
enum err rest_change(struct gwctl *g, const char *path, struct json_t *body, struct fail *f);

#endif
