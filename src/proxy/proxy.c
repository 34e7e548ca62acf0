#include "proxy/proxy.h"

#include "base/heap.h"
#include "proxy/state.h"
#include "routing/table.h"

enum err proxy_new(const struct proxy_config *c, struct loop *loop, struct upstream *up,
    struct obs_worker *obs, struct proxy **out)
{
	struct proxy *p = heap_zalloc(sizeof *p);
	enum err e;

	if (p == NULL)
		return E_NOMEM;
	*p = (struct proxy){ .config = *c, .loop = loop, .upstream = up, .obs = obs };
	e = route_table_empty(&p->routes);
	if (e != OK) {
		heap_free(p);
		return e;
	}
	*out = p;
	return OK;
}

void proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	route_table_unref(p->routes);
	heap_free(p);
}

void proxy_configure(struct proxy *p, const struct proxy_config *c)
{
	p->config = *c;
}

void proxy_set_routes_take(struct proxy *p, struct route_table *t)
{
	route_table_unref(p->routes);
	p->routes = t;
}

const struct route_table *proxy_routes(const struct proxy *p)
{
	return p->routes;
}
