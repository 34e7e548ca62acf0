#include "request/header.h"

static const struct str names[] = {
#define H(id, name) [HDR_##id] = { name, sizeof(name) - 1 },
	HEADER_TABLE(H)
#undef H
};

/* By length and first character few names are left to compare. */
enum header_id header_lookup(struct str name)
{
	for (int i = 0; i < HDR__COUNT; i++)
		if (names[i].n == name.n && names[i].p[0] == name.p[0] && str_eq(names[i], name))
			return (enum header_id)i;
	return HDR__COUNT;
}

struct str header_name(enum header_id id)
{
	return names[id];
}
