#include "request/header.h"

#include "base/swar.h"

/* Lower-case of the characters that names may have (RFC 9110, 5.6.2); 0: not one of them. */
static const char token[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
	['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',
	['~'] = '~', ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5',
	['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
#define LETTER(upper, lower) [upper] = lower, [lower] = lower
	LETTER('A', 'a'), LETTER('B', 'b'), LETTER('C', 'c'), LETTER('D', 'd'), LETTER('E', 'e'),
	LETTER('F', 'f'), LETTER('G', 'g'), LETTER('H', 'h'), LETTER('I', 'i'), LETTER('J', 'j'),
	LETTER('K', 'k'), LETTER('L', 'l'), LETTER('M', 'm'), LETTER('N', 'n'), LETTER('O', 'o'),
	LETTER('P', 'p'), LETTER('Q', 'q'), LETTER('R', 'r'), LETTER('S', 's'), LETTER('T', 't'),
	LETTER('U', 'u'), LETTER('V', 'v'), LETTER('W', 'w'), LETTER('X', 'x'), LETTER('Y', 'y'),
	LETTER('Z', 'z'),
#undef LETTER
};

bool header_is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (token[(unsigned char)s.p[i]] == 0)
			return false;
	return s.n > 0;
}

/* Of eight bytes: those that no value has, but for tabs. */
static uint64_t odd8(const char *p)
{
	uint64_t v = swar_load(p);

	return swar_below(v, 0x20) | swar_equal(v, 0x7f);
}

bool header_is_value(struct str s)
{
	size_t i = 0;

	while (i < s.n) {
		const char *p = s.p + i;
		unsigned char c = (unsigned char)*p;

		if (s.n - i >= 32 && (odd8(p) | odd8(p + 8) | odd8(p + 16) | odd8(p + 24)) == 0) {
			i += 32;
		} else if (s.n - i >= 8 && odd8(p) == 0) {
			i += 8;
		} else if ((c >= 0x20 || c == '\t') && c != 0x7f) {
			i++;
		} else {
			return false;
		}
	}
	return true;
}

bool header_split(char *line, size_t n, struct header *out)
{
	size_t k = 0;

	while (k < n && token[(unsigned char)line[k]] != 0) {
		line[k] = token[(unsigned char)line[k]];
		k++;
	}
	if (k == 0 || k == n || line[k] != ':')
		return false;
	out->name = str_n(line, k);
	out->value = str_trim(str_n(line + k + 1, n - k - 1));
	return header_is_value(out->value);
}

bool header_lists(struct str list, struct str member)
{
	while (list.n > 0)
		if (str_ieq(str_trim(str_cut(list, ',', &list)), member))
			return true;
	return false;
}

bool header_is_grpc(struct str v)
{
	struct str params, type = str_trim(str_cut(v, ';', &params));

	return str_ieq(type, STR("application/grpc")) || str_ieq(type, STR("application/grpc+proto"));
}

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
