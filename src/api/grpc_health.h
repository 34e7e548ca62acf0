/* grpc.health.v1.Health: Check, once, and Watch, until the caller has enough. "" is the gateway as a whole
 * and the same as its one service: SERVING when /ready says so. Everybody may ask. Worker thread. */
#ifndef API_GRPC_HEALTH_H
#define API_GRPC_HEALTH_H

#include "request/request.h"

struct api;

STEP op_grpc_health_check(struct api *a, struct request *r);
STEP op_grpc_health_watch(struct api *a, struct request *r);

#endif
