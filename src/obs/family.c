#include <assert.h>
#include <string.h>

#include "obs/obs.h"

const struct obs_metric obs_metrics[] = {
#define METRIC(name, type, labels, help) { name, type, labels, help },
#include "obs/metrics.def"
#undef METRIC
};
const size_t obs_metrics_count = sizeof obs_metrics / sizeof *obs_metrics;

void obs_family(struct buf *out, const char *name)
{
	size_t i = 0;

	while (i < obs_metrics_count && strcmp(obs_metrics[i].name, name) != 0)
		i++;
	assert(i < obs_metrics_count);
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, obs_metrics[i].help, name,
	    obs_metrics[i].type);
}
