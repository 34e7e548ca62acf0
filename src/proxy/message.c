#include "proxy/message.h"

enum err message_pack(struct arena *a, const ProtobufCMessage *m, struct str *out)
{
	size_t n = protobuf_c_message_get_packed_size(m);
	char *p = arena_alloc(a, n > 0 ? n : 1);

	if (p == NULL)
		return E_NOMEM;
	*out = str_n(p, protobuf_c_message_pack(m, (uint8_t *)p));
	return OK;
}
