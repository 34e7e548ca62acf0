/* How long the caller will wait: grpc-timeout (gRPC over HTTP/2, "Timeout") and x-request-timeout-ms. Both
 * count from when the request came in. Pure but for the request: its owner's thread. */
#ifndef REQUEST_TIME_LIMIT_H
#define REQUEST_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct request;

/* One to eight digits and a unit of H, M, S, m, u, n; to microseconds, rounded up. */
bool time_limit_grpc(struct str s, int64_t *us);
/* Sets r->deadline from the headers, to the sooner one when both are there; leaves it when neither is.
 * E_BAD_REQUEST: one is malformed or given twice. */
enum err time_limit_read(struct request *r, struct fail *f);

#endif
