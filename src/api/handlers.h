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

/* auth_sign.c */
enum err op_auth_signup(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_signin(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_refresh(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_signout(struct ctl *c, struct request *r, struct fail *f);

/* auth_session.c */
enum err op_auth_sessions(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_session_end(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_password(struct ctl *c, struct request *r, struct fail *f);
/* One page of a user's live sessions. */
enum err session_list_reply(struct ctl *c, struct request *r, struct id user, struct fail *f);

/* auth_me.c */
enum err op_jwks(struct ctl *c, struct request *r, struct fail *f);
enum err op_me(struct ctl *c, struct request *r, struct fail *f);
enum err op_me_can(struct ctl *c, struct request *r, struct fail *f);

#endif
