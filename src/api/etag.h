/* Entity tags of admin resources, and optimistic concurrency by them (RFC 9110, 8.8.3 and 13.1.1). A
 * resource's tag is its version: "v7". Control lane. */
#ifndef API_ETAG_H
#define API_ETAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/jsonw.h"

struct request;

/* The member "etag" of a resource's JSON. */
void etag_write(struct jsonw *w, int64_t version);
/* The reply header of the same. */
enum err etag_header(struct request *r, int64_t version);
/* E_PRECONDITION_FAILED when there is an If-Match and it does not name this version. */
enum err etag_check(struct request *r, int64_t version, struct fail *f);
/* A mutation was made on the version that was read before it, and lost to another one: do it again,
 * unless the caller wanted that version and no other. *tries counts. */
bool etag_again(const struct request *r, enum err e, unsigned *tries, struct fail *f);

#endif
