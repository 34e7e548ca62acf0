#include "proxy/grpc_status.h"

#include <stddef.h>

/* google.rpc.Code → the error of the envelope; `version`: for a command with expected_version. */
static const struct {
	enum err e, version;
} map[GRPC_STATUS_MAX + 1] = {
	[1] = { E_NODE_UNAVAILABLE },             /* CANCELLED: not by us */
	[2] = { E_NODE_FAILED },                  /* UNKNOWN */
	[3] = { E_BAD_REQUEST },                  /* INVALID_ARGUMENT */
	[4] = { E_UPSTREAM_TIMEOUT },             /* DEADLINE_EXCEEDED */
	[5] = { E_NOT_FOUND },                    /* NOT_FOUND */
	[6] = { E_CONFLICT },                     /* ALREADY_EXISTS */
	[7] = { E_FORBIDDEN },                    /* PERMISSION_DENIED */
	[8] = { E_RATE_LIMITED },                 /* RESOURCE_EXHAUSTED */
	[9] = { E_CONFLICT, E_VERSION_CONFLICT }, /* FAILED_PRECONDITION */
	[10] = { E_CONFLICT, E_VERSION_CONFLICT }, /* ABORTED */
	[11] = { E_BAD_REQUEST },                 /* OUT_OF_RANGE */
	[12] = { E_NOT_IMPLEMENTED },             /* UNIMPLEMENTED */
	[13] = { E_NODE_FAILED },                 /* INTERNAL */
	[14] = { E_NODE_UNAVAILABLE },            /* UNAVAILABLE */
	[15] = { E_NODE_FAILED },                 /* DATA_LOSS */
	[16] = { E_NODE_FAILED },                 /* UNAUTHENTICATED: the gateway was refused, not the caller */
};

enum err grpc_status_err(int status, bool expects_version)
{
	if (status < 1 || status > GRPC_STATUS_MAX)
		return E_NODE_FAILED;
	return expects_version && map[status].version != OK ? map[status].version : map[status].e;
}

enum err http_status_err(int status, bool expects_version)
{
	static const struct {
		int status;
		enum err e, version;
	} http[] = {
		{ 400, E_BAD_REQUEST }, { 403, E_FORBIDDEN }, { 404, E_NOT_FOUND },
		{ 408, E_UPSTREAM_TIMEOUT }, { 409, E_CONFLICT, E_VERSION_CONFLICT }, { 410, E_NOT_FOUND },
		{ 412, E_CONFLICT, E_VERSION_CONFLICT }, { 413, E_BODY_TOO_LARGE }, { 422, E_BAD_REQUEST },
		{ 429, E_RATE_LIMITED }, { 501, E_NOT_IMPLEMENTED }, { 502, E_NODE_UNAVAILABLE },
		{ 503, E_NODE_UNAVAILABLE }, { 504, E_UPSTREAM_TIMEOUT },
	};

	for (size_t i = 0; i < sizeof http / sizeof *http; i++)
		if (http[i].status == status)
			return expects_version && http[i].version != OK ? http[i].version : http[i].e;
	return E_NODE_FAILED; /* also 401: the gateway was refused, not the caller */
}
