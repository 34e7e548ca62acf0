/* What the files of this room share of a worker's proxy. */
#ifndef PROXY_STATE_H
#define PROXY_STATE_H

#include "proxy/proxy.h"

struct route_table;
struct upstream;

struct proxy {
	struct proxy_config config;
	struct loop *loop;
	struct upstream *upstream;
	struct obs_worker *obs;
	struct route_table *routes; /* a reference */
};

#endif
