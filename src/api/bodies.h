/* The fields of every body that control-lane handlers read, next to the handler that reads it: for the
 * reader and for openapi.json. Constant data. */
#ifndef API_BODIES_H
#define API_BODIES_H

#include "api/body.h"

extern const struct body_field body_assignment_create[], body_role_create[], body_role_patch[],
    body_rollback[], body_service_account_create[], body_service_account_patch[],
    body_credential_create[], body_tenant_create[], body_tenant_patch[], body_user_create[],
    body_user_patch[], body_user_password[], body_change_password[], body_signup[],
    body_signin[], body_refresh[], body_signout[], body_mfa_code[], body_mfa_verify[],
    body_verify[], body_forgot[], body_reset[], body_users_import[], body_imported_user[],
    body_oidc_begin[], body_oidc_finish[], body_identity_create[];

#endif
