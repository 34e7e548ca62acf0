/* The handlers that the operation table names. Data-lane ones run on the worker, control-lane ones on a
 * control thread (see request/op.h). */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "base/err.h"
#include "request/request.h"

struct api;
struct ctl;
struct page;
struct resource;
struct scope;
struct user;

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

/* auth_mail.c */
enum err op_auth_verify(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_forgot(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_reset(struct ctl *c, struct request *r, struct fail *f);

/* auth_token.c */
enum err op_auth_token(struct ctl *c, struct request *r, struct fail *f);

/* auth_session.c */
extern const struct resource own_session_rows;
enum err op_auth_session_end(struct ctl *c, struct request *r, struct fail *f);
enum err op_auth_password(struct ctl *c, struct request *r, struct fail *f);
/* The live sessions of a user: struct resource's list. */
enum err session_rows_of(struct ctl *c, struct request *r, struct id user, const struct page *page,
    void **rows, size_t *n, struct fail *f);

/* auth_mfa.c */
enum err op_mfa_enroll(struct ctl *c, struct request *r, struct fail *f);
enum err op_mfa_confirm(struct ctl *c, struct request *r, struct fail *f);
enum err op_mfa_recovery_codes(struct ctl *c, struct request *r, struct fail *f);
enum err op_mfa_verify(struct ctl *c, struct request *r, struct fail *f);
enum err op_mfa_delete(struct ctl *c, struct request *r, struct fail *f);
enum err op_user_mfa_delete(struct ctl *c, struct request *r, struct fail *f);

/* auth_oidc.c */
enum err op_oidc_start(struct ctl *c, struct request *r, struct fail *f);
enum err op_oidc_callback(struct ctl *c, struct request *r, struct fail *f);
enum err op_oidc_finish(struct ctl *c, struct request *r, struct fail *f);
enum err op_oidc_link(struct ctl *c, struct request *r, struct fail *f);

/* auth_identity.c */
extern const struct resource own_identity_rows, identity_rows;
enum err op_identity_create(struct ctl *c, struct request *r, struct fail *f);

/* auth_me.c */
enum err op_jwks(struct ctl *c, struct request *r, struct fail *f);
enum err op_me(struct ctl *c, struct request *r, struct fail *f);
enum err op_me_can(struct ctl *c, struct request *r, struct fail *f);

/* admin_tenant.c */
extern const struct resource tenant_rows;
enum err op_tenant_create(struct ctl *c, struct request *r, struct fail *f);

/* admin_user.c */
extern const struct resource user_rows, user_session_rows;
/* The user that the path names. E_NOT_FOUND. */
enum err user_of_path(struct ctl *c, struct request *r, struct user *u, struct fail *f);
enum err op_user_create(struct ctl *c, struct request *r, struct fail *f);
enum err op_user_password(struct ctl *c, struct request *r, struct fail *f);
enum err op_user_sessions_end(struct ctl *c, struct request *r, struct fail *f);

/* admin_user_import.c */
enum err op_users_import(struct ctl *c, struct request *r, struct fail *f);

/* admin_role.c */
extern const struct resource role_rows;
enum err op_right_list(struct ctl *c, struct request *r, struct fail *f);
enum err op_role_create(struct ctl *c, struct request *r, struct fail *f);

/* admin_assignment.c */
extern const struct resource assignment_rows;
enum err op_assignment_create(struct ctl *c, struct request *r, struct fail *f);

/* admin_service_account.c */
extern const struct resource service_account_rows, credential_rows;
enum err op_service_account_create(struct ctl *c, struct request *r, struct fail *f);
enum err op_credential_create(struct ctl *c, struct request *r, struct fail *f);

/* admin_system.c */
enum err op_explain(struct ctl *c, struct request *r, struct fail *f);
enum err op_key_list(struct ctl *c, struct request *r, struct fail *f);
enum err op_key_rotate(struct ctl *c, struct request *r, struct fail *f);
enum err op_key_revoke(struct ctl *c, struct request *r, struct fail *f);
enum err op_status(struct ctl *c, struct request *r, struct fail *f);

/* admin_routing.c */
extern const struct resource revision_rows;
enum err op_routing_get(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_revision(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_diff(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_resolve(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_put(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_rollback(struct ctl *c, struct request *r, struct fail *f);
enum err op_routing_reload(struct ctl *c, struct request *r, struct fail *f);

/* openapi.c */
enum err op_openapi(struct ctl *c, struct request *r, struct fail *f);

/* admin_audit.c */
extern const struct resource audit_rows;

#endif
