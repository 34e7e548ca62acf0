#include "api/handlers.h"

#include "api/api.h"
#include "proxy/proxy.h"

struct step op_query(struct api *a, struct request *r)
{
	return proxy_query(api_proxy(a), r);
}

struct step op_command(struct api *a, struct request *r)
{
	return proxy_command(api_proxy(a), r);
}

struct step op_grpc_command(struct api *a, struct request *r)
{
	return proxy_grpc_command(api_proxy(a), r);
}

struct step op_runner(struct api *a, struct request *r)
{
	return proxy_runner(api_proxy(a), r);
}
