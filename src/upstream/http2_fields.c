#include "upstream/http2_fields.h"

#include "upstream/call.h"
#include "upstream/endpoint.h"

/* ---- of an answer ------------------------------------------------------------------------------ */

/* Appends to the call's own memory; the views of the head move with it. */
static struct str keep(struct upstream_call *call, const uint8_t *p, size_t n)
{
	size_t at = call->head.n;

	if (buf_add(&call->head, p, n) != OK || call->head.n > RESPONSE_MAX_HEAD)
		return STR_NONE;
	response_move(&call->resp, call->head.p);
	return str_n(call->head.p + at, n);
}

static bool read_status(struct upstream_call *call, struct str v)
{
	uint64_t status;

	if (!str_u64(v, 599, &status) || status < 100)
		return false;
	call->resp.status = (int)status;
	return true;
}

static bool read_grpc_field(struct upstream_call *call, struct str name, struct str v, bool *ok)
{
	uint64_t status;

	*ok = true;
	if (str_eq(name, STR("grpc-status"))) {
		*ok = str_u64(v, 16, &status);
		if (*ok)
			call->grpc_status = (int)status;
		return true;
	}
	if (!str_eq(name, STR("grpc-message")))
		return false;
	*ok = grpc_message_decode(v, &call->grpc_message) == OK;
	return true;
}

bool http2_field_read(struct upstream_call *call, struct str name, struct str v)
{
	struct response *r = &call->resp;
	struct header h;
	bool ok;

	if (str_eq(name, STR(":status")))
		return read_status(call, v);
	if (str_eq(name, STR("content-length")))
		return true;
	if (call->grpc && read_grpc_field(call, name, v, &ok))
		return ok;
	if (call->head_seen) /* other trailers are not passed on */
		return true;
	if (r->nheaders == RESPONSE_HEADERS)
		return false;
	h.name = keep(call, (const uint8_t *)name.p, name.n);
	if (h.name.p == NULL)
		return false;
	r->headers[r->nheaders++] = (struct header){ h.name, str_n(h.name.p, 0) };
	h.value = keep(call, (const uint8_t *)v.p, v.n);
	r->headers[r->nheaders - 1].value = h.value;
	return h.value.p != NULL;
}

/* ---- of a request ------------------------------------------------------------------------------ */

/* Fields that are different each time: in the HPACK table they would only push out those that are not. */
static bool varies(struct str name)
{
	static const struct str names[] = { { "grpc-timeout", 12 }, { "traceparent", 11 },
		{ "x-correlation-id", 16 }, { "x-request-timeout-ms", 20 } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static nghttp2_nv pair(struct str name, struct str value)
{
	return (nghttp2_nv){ (uint8_t *)name.p, (uint8_t *)value.p, name.n, value.n,
		varies(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
}

size_t http2_fields_write(const struct endpoint *ep, const struct upstream_call *call, nghttp2_nv *nv,
    struct buf *path)
{
	struct str rest = call_fields(call), line;
	size_t n = 0;

	buf_adds(path, ep->base);
	buf_adds(path, call_path(call));
	nv[n++] = pair(STR(":method"), call_method(call));
	nv[n++] = pair(STR(":scheme"), ep->tls ? STR("https") : STR("http"));
	nv[n++] = pair(STR(":authority"), ep->authority);
	nv[n++] = pair(STR(":path"), buf_str(path));
	while (rest.n > 0) {
		struct str value, name;

		line = str_cut(rest, '\n', &rest);
		line.n--; /* CR */
		name = str_cut(line, ':', &value);
		nv[n++] = pair(name, str_skip(value, 1));
	}
	return n;
}
