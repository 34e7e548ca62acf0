/* Whoever can act as a principal has its rights: setting its password or address, or giving it a
 * credential, is for those alone who could have granted every role that it has. Control lane. */
#ifndef API_COVERS_H
#define API_COVERS_H

#include "base/err.h"
#include "base/id.h"

struct ctl;
struct request;

/* OK when the caller holds, tenant by tenant, all that the principal's roles grant. E_FORBIDDEN. */
enum err covers_principal(struct ctl *c, struct request *r, struct id principal, struct fail *f);

#endif
