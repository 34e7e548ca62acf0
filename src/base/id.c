#include "base/id.h"

#include "base/hex.h"
#include "base/rnd.h"

struct id id_new(int64_t wall)
{
	uint64_t ms = (uint64_t)(wall / 1000);
	struct id id;

	rnd_bytes(id.b + 6, 10);
	for (int i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	id.b[6] = (uint8_t)(0x70 | (id.b[6] & 0x0f));
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	return id;
}

char *id_text(struct id id, char out[ID_TEXT_LEN])
{
	hex_encode(id.b, 4, out);
	hex_encode(id.b + 4, 2, out + 9);
	hex_encode(id.b + 6, 2, out + 14);
	hex_encode(id.b + 8, 2, out + 19);
	hex_encode(id.b + 10, 6, out + 24);
	out[8] = out[13] = out[18] = out[23] = '-';
	out[36] = '\0';
	return out;
}

bool id_parse(struct str s, struct id *out)
{
	size_t at = 0;

	if (s.n != 36)
		return false;
	for (int i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && s.p[at++] != '-')
			return false;
		if (!hex_decode(str_n(s.p + at, 2), &out->b[i]))
			return false;
		at += 2;
	}
	return true;
}
