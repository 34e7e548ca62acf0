#include "api/cors.h"

#include "base/config.h"
#include "request/request.h"

static bool listed(struct str origin, const struct config_list *origins)
{
	for (size_t i = 0; i < origins->n; i++)
		if (str_eqc(origin, origins->v[i]))
			return true;
	return false;
}

/* What there is to decide on; STR_NONE: nothing. */
static struct str origin_of(const struct request *r, const struct config_list *origins)
{
	return origins->n > 0 && r->known_count[HDR_ORIGIN] == 1 ? request_known(r, HDR_ORIGIN) : STR_NONE;
}

bool cors_allows(const struct request *r, const struct config_list *origins)
{
	struct str origin = origin_of(r, origins);

	return origin.p != NULL && (listed(origin, origins) || listed(STR("*"), origins));
}

/* The origin without its scheme is what the request was sent to. */
static bool is_own(const struct request *r, struct str origin)
{
	return (str_starts(origin, STR("https://")) && str_ieq(str_skip(origin, 8), r->authority)) ||
	    (str_starts(origin, STR("http://")) && str_ieq(str_skip(origin, 7), r->authority));
}

bool cors_is_foreign(const struct request *r, const struct config_list *origins)
{
	struct str origin = request_known(r, HDR_ORIGIN);

	if (r->known_count[HDR_ORIGIN] == 0)
		return false;
	return r->known_count[HDR_ORIGIN] > 1 || !(listed(origin, origins) || is_own(r, origin));
}

void cors_apply(struct request *r, const struct config_list *origins)
{
	struct str origin = origin_of(r, origins);

	if (origin.p == NULL)
		return;
	(void)reply_header(r, STR("vary"), STR("origin"));
	if (!cors_allows(r, origins))
		return;
	(void)reply_header(r, STR("access-control-allow-origin"), origin);
	if (listed(origin, origins)) /* for the state cookie of a sign-in by OpenID */
		(void)reply_header(r, STR("access-control-allow-credentials"), STR("true"));
	(void)reply_header(r, STR("access-control-expose-headers"),
	    STR("x-correlation-id, traceparent, retry-after, etag"));
}

bool cors_is_preflight(const struct request *r)
{
	return str_eq(r->method, STR("OPTIONS")) &&
	    request_header(r, STR("access-control-request-method")).p != NULL;
}

void cors_preflight(struct request *r, struct str allow)
{
	(void)reply_header(r, STR("access-control-allow-methods"), allow);
	(void)reply_header(r, STR("access-control-allow-headers"),
	    STR("authorization, content-type, x-tenant-id, x-correlation-id, traceparent, if-match, "
	        "idempotency-key, x-request-timeout-ms"));
	(void)reply_header(r, STR("access-control-max-age"), STR("600"));
}
