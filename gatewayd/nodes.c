#include "nodes.h"

#include <stdio.h>

#include "base/config.h"
#include "crypto/tls_client.h"
#include "routing/table.h"
#include "upstream/fleet.h"
#include "upstream/prober.h"
#include "worker.h"

static struct prober_config prober_config_of(const struct config *c)
{
	struct prober_config pc = {
		.interval_us = c->upstream_health_interval,
		.timeout_us = c->upstream_health_timeout,
		.rise = (unsigned)c->upstream_health_rise,
		.fall = (unsigned)c->upstream_health_fall,
	};

	snprintf(pc.path, sizeof pc.path, "%s", c->upstream_health_path); /* config_resolve: it fits */
	return pc;
}

enum err nodes_open(struct nodes *n, const struct config *config, const struct certs *certs, bool check)
{
	struct prober_config pc = prober_config_of(config);
	enum err e = fleet_new(&n->fleet);

	if (e == OK && !check)
		e = prober_new(&pc, n->fleet, &n->prober);
	if (n->prober != NULL)
		prober_set_take(n->prober, NULL, NULL, tls_client_ref(certs->nodes));
	return e;
}

void nodes_follow(struct nodes *n, const struct worker_snapshots *s)
{
	struct prober_config pc;

	if (s->config != NULL)
		pc = prober_config_of(s->config);
	if (n->prober != NULL && (s->config != NULL || s->routes != NULL || s->certs.nodes != NULL))
		prober_set_take(n->prober, s->config != NULL ? &pc : NULL,
		    s->routes != NULL ? route_table_ref(s->routes) : NULL, tls_client_ref(s->certs.nodes));
}

void nodes_write_metrics(const struct nodes *n, struct buf *out)
{
	if (n->prober != NULL)
		prober_write_metrics(n->prober, out);
}

void nodes_close(struct nodes *n)
{
	prober_free(n->prober);
	fleet_free(n->fleet);
}
