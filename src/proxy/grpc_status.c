#include "proxy/grpc_status.h"

/* google.rpc.Code → the error of the envelope; `version`: for a command with expected_version. */
static const struct {
	enum err e, version;
} map[17] = {
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
	if (status < 1 || status > 16)
		return E_NODE_FAILED;
	return expects_version && map[status].version != OK ? map[status].version : map[status].e;
}
