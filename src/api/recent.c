#include "api/recent.h"

#include "base/clock.h"
#include "request/request.h"

#define RECENT (5 * 60 * CLOCK_SEC)

enum err need_recent_signin(const struct request *r, struct fail *f)
{
	return clock_wall() - r->auth.auth_time <= RECENT ? OK : fail_code(f, E_RECENT_SIGNIN);
}

enum err need_recent_session(const struct request *r, struct fail *f)
{
	return r->auth.has_session ? need_recent_signin(r, f) : fail_set(f, E_FORBIDDEN, "only in a session");
}
