#include "proxy/proto_scan.h"

static bool varint(struct proto_scan *s, uint64_t *v)
{
	*v = 0;
	for (unsigned i = 0; i < 10 && i < s->rest.n; i++) {
		uint64_t b = (unsigned char)s->rest.p[i];

		if (i == 9 && b > 1)
			return false;
		*v |= (b & 0x7f) << (7 * i);
		if (b < 0x80) {
			s->rest = str_skip(s->rest, i + 1);
			return true;
		}
	}
	return false;
}

static bool take(struct proto_scan *s, uint64_t n, struct str *out)
{
	if (n > s->rest.n)
		return false;
	*out = str_n(s->rest.p, (size_t)n);
	s->rest = str_skip(s->rest, (size_t)n);
	return true;
}

static bool field(struct proto_scan *s, struct proto_field *f)
{
	uint64_t tag, n;

	if (!varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
		return false;
	f->number = (uint32_t)(tag >> 3);
	f->type = (enum proto_type)(tag & 7);
	switch (f->type) {
	case PROTO_VARINT:
		return varint(s, &f->value);
	case PROTO_FIXED64:
		return take(s, 8, &f->bytes);
	case PROTO_BYTES:
		return varint(s, &n) && take(s, n, &f->bytes);
	case PROTO_FIXED32:
		return take(s, 4, &f->bytes);
	}
	return false;
}

bool proto_scan_next(struct proto_scan *s, struct proto_field *f)
{
	if (s->bad || s->rest.n == 0)
		return false;
	s->bad = !field(s, f);
	return !s->bad;
}
