/* What a gRPC status of a node means to an HTTP caller: one table. Constant data: any thread. */
#ifndef PROXY_GRPC_STATUS_H
#define PROXY_GRPC_STATUS_H

#include <stdbool.h>

#include "base/err.h"

/* `status` is google.rpc.Code and not 0; unknown ones are UNKNOWN. */
enum err grpc_status_err(int status, bool expects_version);

#endif
