/* What the gateway tells of itself: request counters and durations by operation, and the access log.
 *
 * Each worker owns one obs_worker and alone writes to it; the scrape on the control lane reads all
 * of them (relaxed atomics, so a scrape may be one request behind, never torn). */
#ifndef OBS_OBS_H
#define OBS_OBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

struct obs; /* of the process */
struct obs_worker;

struct obs_route {
	const char *name;   /* route label */
	const char *method; /* method label */
};

/* routes: one for each operation, plus a last one for requests that matched none. `auth_methods`:
 * names, for gateway_auth_failures_total. Constant memory. */
enum err obs_new(struct obs **out, const struct obs_route *routes, size_t n,
    const char *const *auth_methods, size_t nmethods);
void obs_free(struct obs *o);
/* Before the worker runs. The access log is gathered and given to its thread when 32 KiB are there or 100 ms
 * have passed (a timer of `loop`), and at obs_worker_flush. */
enum err obs_worker_new(struct obs *o, struct loop *loop, bool access_log, struct obs_worker **out);
void obs_worker_set_access_log(struct obs_worker *w, bool on); /* worker thread */
void obs_worker_flush(struct obs_worker *w);
void obs_worker_free(struct obs_worker *w);

struct obs_request {
	size_t route; /* index in routes */
	int status;
	int64_t wall, duration_us, upstream_us;
	struct str method, path, correlation_id, trace_id, code, tenant, principal, auth, upstream, source;
	uint64_t bytes_in, bytes_out;
	unsigned http_version;
};
/* Worker thread. */
void obs_request_end(struct obs_worker *w, const struct obs_request *r);

enum obs_auth_reason { OBS_AUTH_MISSING, OBS_AUTH_MALFORMED, OBS_AUTH_SIGNATURE, OBS_AUTH_EXPIRED,
	OBS_AUTH_REVOKED, OBS_AUTH_UNKNOWN, OBS_AUTH_DISABLED, OBS_AUTH_REFUSED, OBS_AUTH__COUNT };
void obs_auth_failure(struct obs_worker *w, size_t method, enum obs_auth_reason reason);
void obs_routing_miss(struct obs_worker *w, size_t kind); /* 0 aggregate, 1 projection, 2 runner */

enum obs_tls_outcome { OBS_TLS_FULL, OBS_TLS_RESUMED, OBS_TLS_FAILED, OBS_TLS__COUNT };
void obs_tls_handshake(struct obs_worker *w, enum obs_tls_outcome outcome);

/* Control lane: Prometheus text (version 0.0.4) of all of the above and process_*. */
void obs_write(struct obs *o, struct buf *out);

/* For other rooms' families: HELP and TYPE lines from the table metrics.def by name, so that every
 * family is documented in one place. Asserts that the name is in the table. */
void obs_family(struct buf *out, const char *name);
/* gatewayd --dump metrics */
struct obs_metric { const char *name, *type, *labels, *help; };
extern const struct obs_metric obs_metrics[];
extern const size_t obs_metrics_count;

#endif
