/* What a node's gRPC status means to an HTTP caller, and its HTTP status to a gRPC caller: both by way of
 * the error that the gateway would have had itself. One table each. Constant data: any thread. */
#ifndef PROXY_GRPC_STATUS_H
#define PROXY_GRPC_STATUS_H

#include <stdbool.h>

#include "base/err.h"

/* `status` is google.rpc.Code and not 0; unknown ones are UNKNOWN. */
enum err grpc_status_err(int status, bool expects_version);
#define GRPC_STATUS_MAX 16 /* what is above is UNKNOWN */

/* `status` is that of an HTTP answer, and not 200. expects_version: of a command with expected_version. */
enum err http_status_err(int status, bool expects_version);

#endif
