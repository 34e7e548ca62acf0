/* In which tenants a right must be held before an admin operation runs: the tenants of the resource
 * itself, found in path, body or store. Control lane, before the handler; signatures of op->scope.
 *
 * Users are platform-wide. Reading one needs the right in any tenant that it is assigned to; changing
 * one needs it in every such tenant, and one that is assigned everywhere, or nowhere, is changed by
 * the platform's administrators alone: otherwise the administrator of a tenant could take over
 * accounts of others. Service accounts belong to a tenant, and are changed as users are. */
#ifndef API_SCOPE_H
#define API_SCOPE_H

#include "base/err.h"

struct ctl;
struct request;
struct scope;

enum err scope_own_tenants(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_tenant(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_user_read(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_user_write(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_role_read(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_role_write(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_assignment(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_service_account(struct ctl *c, struct request *r, struct scope *s, struct fail *f);
enum err scope_service_account_write(struct ctl *c, struct request *r, struct scope *s,
    struct fail *f);
/* The member "tenant" of the body; "*", null or none: platform. */
enum err scope_body_tenant(struct ctl *c, struct request *r, struct scope *s, struct fail *f);

#endif
