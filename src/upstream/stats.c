#include "upstream/stats.h"

const int64_t stats_bounds[STATS_BOUNDS] = { 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2500000, 10000000 };
const char *const stats_bound_labels[STATS_BOUNDS] = { "0.00025", "0.0005", "0.001", "0.0025", "0.005",
	"0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "10" };

const char *const stats_outcomes[OUTCOME__COUNT] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_NODE_ERROR] = "node_error",
	[OUTCOME_UNREACHABLE] = "unreachable",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_BAD] = "bad_response",
	[OUTCOME_REJECTED] = "rejected",
	[OUTCOME_CANCELLED] = "cancelled",
};

void stats_try(struct stats *s, enum outcome o, int64_t us)
{
	size_t b = 0;

	stats_add(&s->outcome[o], 1);
	if (o != OUTCOME_OK && o != OUTCOME_NODE_ERROR)
		return;
	while (b < STATS_BOUNDS && us > stats_bounds[b])
		b++;
	stats_add(&s->bucket[b], 1);
	stats_add(&s->sum_us, (uint64_t)us);
}
