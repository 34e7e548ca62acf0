/* The handlers that the operation table names. Data-lane ones run on the worker, control-lane ones on a
 * control thread (see request/op.h). */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "base/err.h"
#include "request/request.h"

struct api;
struct ctl;
struct scope;

/* data.c */
STEP op_query(struct api *a, struct request *r);
STEP op_command(struct api *a, struct request *r);
STEP op_grpc_command(struct api *a, struct request *r);
STEP op_runner(struct api *a, struct request *r);

/* probe.c */
STEP op_health(struct api *a, struct request *r);
STEP op_ready(struct api *a, struct request *r);
enum err op_metrics(struct ctl *c, struct request *r, struct fail *f);

#endif
