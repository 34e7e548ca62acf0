#include "obs/access_line.h"

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "obs/obs.h"

/* ---- JSON: one for every request of a busy gateway, so written by hand ------------------------- */

static void log_str(struct buf *b, const char *lead, struct str s)
{
	if (s.p == NULL)
		return;
	buf_addz(b, lead);
	jsonw_escape(b, s);
}

/* RFC 3339 of `wall`; the part down to the second is made once a second. */
static struct str log_time(int64_t wall)
{
	static _Thread_local char t[CLOCK_RFC3339_LEN];
	static _Thread_local int64_t second = -1;
	int ms = (int)(wall / CLOCK_MS % 1000);

	if (wall / CLOCK_SEC != second) {
		second = wall / CLOCK_SEC;
		clock_rfc3339(wall, t);
	}
	t[20] = (char)('0' + ms / 100);
	t[21] = (char)('0' + ms / 10 % 10);
	t[22] = (char)('0' + ms % 10);
	return str_n(t, CLOCK_RFC3339_LEN - 1);
}

void access_line_json(struct buf *b, const struct obs_request *r, const char *op)
{
	buf_addz(b, "{\"time\":\"");
	buf_adds(b, log_time(r->wall));
	buf_addz(b, "\",\"level\":\"info\",\"msg\":\"access\",\"op\":\"");
	buf_addz(b, op);
	buf_addc(b, '"');
	log_str(b, ",\"method\":", r->method);
	log_str(b, ",\"path\":", r->path);
	buf_addz(b, ",\"status\":");
	buf_addu(b, (uint64_t)r->status);
	log_str(b, ",\"code\":", r->code);
	log_str(b, ",\"correlation_id\":", r->correlation_id);
	log_str(b, ",\"trace_id\":", r->trace_id);
	log_str(b, ",\"tenant\":", r->tenant);
	log_str(b, ",\"principal\":", r->principal);
	log_str(b, ",\"auth\":", r->auth);
	log_str(b, ",\"upstream\":", r->upstream);
	log_str(b, ",\"source\":", r->source);
	buf_addz(b, ",\"http\":");
	buf_addu(b, r->http_version);
	buf_addz(b, ",\"duration_us\":");
	buf_addu(b, (uint64_t)(r->duration_us > 0 ? r->duration_us : 0));
	buf_addz(b, ",\"upstream_us\":");
	buf_addu(b, (uint64_t)(r->upstream_us > 0 ? r->upstream_us : 0));
	buf_addz(b, ",\"bytes_in\":");
	buf_addu(b, r->bytes_in);
	buf_addz(b, ",\"bytes_out\":");
	buf_addu(b, r->bytes_out);
	buf_addz(b, "}\n");
}

/* ---- text: for a person who watches ------------------------------------------------------------ */

void access_line_text(struct buf *b, const struct obs_request *r, const char *op)
{
	const struct log_field all[] = {
		LOG_Z("op", op), LOG_S("method", r->method), LOG_S("path", r->path), LOG_I("status", r->status),
		LOG_S("code", r->code), LOG_S("correlation_id", r->correlation_id),
		LOG_S("trace_id", r->trace_id), LOG_S("tenant", r->tenant), LOG_S("principal", r->principal),
		LOG_S("auth", r->auth), LOG_S("upstream", r->upstream), LOG_S("source", r->source),
		LOG_I("http", (int64_t)r->http_version), LOG_I("duration_us", r->duration_us),
		LOG_I("upstream_us", r->upstream_us), LOG_I("bytes_in", (int64_t)r->bytes_in),
		LOG_I("bytes_out", (int64_t)r->bytes_out),
	};
	struct log_field said[sizeof all / sizeof *all + 1];
	size_t n = 0;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].type != LOG_F_STR || all[i].s.p != NULL)
			said[n++] = all[i];
	said[n].key = NULL;
	log_format(b, r->wall, LOG_INFO, "access", said);
}
