#include "upstream/grpc_frame.h"

#include "base/hex.h"

void grpc_frame_write(uint32_t n, uint8_t out[GRPC_PREFIX])
{
	out[0] = 0;
	for (int i = 0; i < 4; i++)
		out[1 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Memory grows with what arrives, not with what is announced. */
static enum err prefix_end(struct grpc_frame *f, const struct buf *out)
{
	const uint8_t *p = f->prefix;

	if (p[0] != 0) /* we never offer a compression */
		return E_BAD_UPSTREAM;
	f->left = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	return f->left > out->max - out->n ? E_LIMIT : OK;
}

enum err grpc_frame_read(struct grpc_frame *f, struct str data, struct buf *out)
{
	while (data.n > 0 && f->have < GRPC_PREFIX) {
		f->prefix[f->have++] = (uint8_t)data.p[0];
		data = str_skip(data, 1);
		if (f->have == GRPC_PREFIX) {
			enum err e = prefix_end(f, out);

			if (e != OK)
				return e;
		}
	}
	if (data.n > f->left)
		return E_BAD_UPSTREAM;
	f->left -= (uint32_t)data.n;
	return buf_adds(out, data);
}

bool grpc_frame_complete(const struct grpc_frame *f)
{
	return f->have == GRPC_PREFIX && f->left == 0;
}

bool grpc_frame_empty(const struct grpc_frame *f)
{
	return f->have == 0;
}

enum err grpc_message_decode(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%' && s.n - i > 2 && hex_decode(str_n(s.p + i + 1, 2), &c))
			i += 2;
		buf_addc(out, c);
	}
	return buf_err(out);
}

struct str grpc_timeout_write(int64_t us, char out[GRPC_TIMEOUT_LEN])
{
	static const struct {
		char unit;
		int64_t us;
	} units[] = { { 'u', 1 }, { 'm', 1000 }, { 'S', 1000000 }, { 'M', 60000000 }, { 'H', 3600000000 } };
	size_t k = 0, at = 8;
	int64_t v;

	us = us < 1 ? 1 : us > INT64_MAX / 2 ? INT64_MAX / 2 : us;
	while (k < 4 && (us + units[k].us - 1) / units[k].us > 99999999)
		k++;
	v = (us + units[k].us - 1) / units[k].us;
	if (v > 99999999)
		v = 99999999;
	out[8] = units[k].unit;
	for (; v > 0; v /= 10)
		out[--at] = (char)('0' + v % 10);
	return str_n(out + at, 9 - at);
}

int grpc_status_of_http(int http)
{
	static const struct {
		int http, grpc;
	} map[] = { { 400, 13 }, { 401, 16 }, { 403, 7 }, { 404, 12 }, { 429, 14 }, { 502, 14 },
		{ 503, 14 }, { 504, 14 } };

	for (size_t i = 0; i < sizeof map / sizeof *map; i++)
		if (map[i].http == http)
			return map[i].grpc;
	return 2; /* UNKNOWN */
}
