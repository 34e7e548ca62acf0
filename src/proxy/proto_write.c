#include "proxy/proto_write.h"

#include "base/buf.h"
#include "proxy/proto_scan.h"

static void varint(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

void proto_write_varint(struct buf *out, uint32_t number, uint64_t value)
{
	varint(out, (uint64_t)number << 3 | PROTO_VARINT);
	varint(out, value);
}

void proto_write_bytes(struct buf *out, uint32_t number, struct str bytes)
{
	varint(out, (uint64_t)number << 3 | PROTO_BYTES);
	varint(out, bytes.n);
	buf_adds(out, bytes);
}
