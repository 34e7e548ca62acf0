#include "metrics.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "crypto/hasher.h"
#include "obs/obs.h"
#include "request/op.h"
#include "request/request.h"
#include "store/change.h"
#include "store/store.h"

#define NBOUNDS(b) (sizeof(b) / sizeof *(b))

/* `label` is `op="read",` or empty; hist is cumulative, one longer than the 11 bounds. */
static void write_durations(struct buf *out, const char *name, const char *label,
    const double bounds[11], const uint64_t hist[12], uint64_t sum_us)
{
	size_t n = 11;
	int cut = label[0] != '\0' ? (int)strlen(label) - 1 : 0; /* without its comma */

	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s_bucket{%sle=\"%g\"} %llu\n", name, label, bounds[i],
		    (unsigned long long)hist[i]);
	buf_printf(out, "%s_bucket{%sle=\"+Inf\"} %llu\n", name, label, (unsigned long long)hist[n]);
	buf_printf(out, cut > 0 ? "%s_sum{%.*s} %.6f\n" : "%s_sum%.*s %.6f\n", name, cut, label,
	    (double)sum_us / 1e6);
	buf_printf(out, cut > 0 ? "%s_count{%.*s} %llu\n" : "%s_count%.*s %llu\n", name, cut, label,
	    (unsigned long long)hist[n]);
}

static void write_batches(struct buf *out, const struct store_stats *s)
{
	static const char name[] = "gateway_store_write_batch_size";
	size_t n = NBOUNDS(store_batch_bounds);

	obs_family(out, name);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s_bucket{le=\"%d\"} %llu\n", name, store_batch_bounds[i],
		    (unsigned long long)s->batch_hist[i]);
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %llu\n%s_count %llu\n", name,
	    (unsigned long long)s->batch_hist[n], name, (unsigned long long)s->batch_size_sum, name,
	    (unsigned long long)s->batch_hist[n]);
}

void metrics_write_state(struct store *s, const struct feed *feed, const struct hasher *h,
    int64_t routing_revision, struct buf *out)
{
	struct store_stats st;
	struct feed_stats fs;

	store_stats(s, &st);
	feed_stats(feed, &fs);
	obs_family(out, "gateway_routing_revision");
	buf_printf(out, "gateway_routing_revision %lld\n", (long long)routing_revision);
	obs_family(out, "gateway_state_age_seconds");
	buf_printf(out, "gateway_state_age_seconds %.3f\n", (double)feed_age(feed) / CLOCK_SEC);
	obs_family(out, "gateway_revocation_lag_seconds");
	write_durations(out, "gateway_revocation_lag_seconds", "", feed_lag_bounds, fs.lag_hist,
	    fs.lag_us_sum);
	write_batches(out, &st);
	obs_family(out, "gateway_store_duration_seconds");
	write_durations(out, "gateway_store_duration_seconds", "op=\"read\",", store_duration_bounds,
	    st.read_hist, st.read_us_sum);
	write_durations(out, "gateway_store_duration_seconds", "op=\"write\",", store_duration_bounds,
	    st.write_hist, st.write_us_sum);
	obs_family(out, "gateway_password_hash_queue");
	buf_printf(out, "gateway_password_hash_queue %zu\n", hasher_waiting(h));
}

enum err metrics_obs_new(struct obs **out, struct obs_route **table)
{
	static const char *names[AUTH__COUNT];
	struct obs_route *t = heap_zalloc((ops_count + 1) * sizeof *t);

	*table = t;
	if (t == NULL)
		return E_NOMEM;
	for (int i = 0; i < AUTH__COUNT; i++)
		names[i] = auth_method_name((enum auth_method)i);
	for (size_t i = 0; i < ops_count; i++)
		t[i] = (struct obs_route){ ops_all[i].name, method_name(ops_all[i].method) };
	t[ops_count] = (struct obs_route){ "none", "other" };
	return obs_new(out, t, ops_count, names, AUTH__COUNT);
}
