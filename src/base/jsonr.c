#include "base/jsonr.h"

static bool bad(struct jsonr *r)
{
	r->failed = true;
	return false;
}

static void blanks(struct jsonr *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

/* Passes over blanks and, when it is there, the character c. */
static bool take(struct jsonr *r, char c)
{
	if (r->failed)
		return false;
	blanks(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool enter(struct jsonr *r, char c)
{
	if (!take(r, c) || r->depth == JSONR_DEPTH)
		return bad(r);
	r->depth++;
	r->first = true;
	return true;
}

bool jsonr_obj(struct jsonr *r)
{
	return enter(r, '{');
}

bool jsonr_arr(struct jsonr *r)
{
	return enter(r, '[');
}

/* Whether another item follows in the container that ends with `close`. */
static bool next(struct jsonr *r, char close)
{
	bool first = r->first;

	r->first = false;
	if (take(r, close)) {
		r->depth--;
		return false;
	}
	return first ? !r->failed : take(r, ',') || bad(r);
}

bool jsonr_member(struct jsonr *r, struct str *name)
{
	return next(r, '}') && jsonr_str(r, name) && (take(r, ':') || bad(r));
}

bool jsonr_elem(struct jsonr *r)
{
	return next(r, ']');
}

char jsonr_peek(struct jsonr *r)
{
	if (r->failed)
		return '\0';
	blanks(r);
	if (r->p == r->end)
		return '\0';
	return *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? '0' : *r->p;
}

/* ---- strings ---- */

/* Four hex digits at p (of which there may be fewer), or -1. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i], l = (char)(c | 0x20);
		int d = c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *put_utf8(char *o, int32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 63));
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	}
	return o;
}

/* \uXXXX at *p (behind the u), both halves of a surrogate pair; NULL when it is neither. */
static char *unicode_escape(char **p, const char *end, char *o)
{
	int32_t c = hex4(*p, end), low;

	if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff))
		return NULL;
	*p += 4;
	if (c < 0xd800 || c > 0xdbff)
		return put_utf8(o, c);
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return NULL;
	low = hex4(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return NULL;
	*p += 6;
	return put_utf8(o, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
}

/* One escape at *p (behind the backslash) onto o; NULL when there is no such escape. */
static char *escape(char **p, const char *end, char *o)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *f;

	if (*p == end)
		return NULL;
	if (**p == 'u') {
		++*p;
		return unicode_escape(p, end, o);
	}
	f = **p != '\0' ? strchr(from, **p) : NULL;
	if (f == NULL)
		return NULL;
	++*p;
	*o++ = to[f - from];
	return o;
}

bool jsonr_str(struct jsonr *r, struct str *out)
{
	char *p, *o, *start;
	unsigned char high = 0;

	if (!take(r, '"'))
		return bad(r);
	for (p = o = start = r->p; p < r->end && *p != '"';) {
		unsigned char c = (unsigned char)*p++;

		if (c < 0x20)
			return bad(r);
		if (c == '\\') {
			o = escape(&p, r->end, o);
			if (o == NULL)
				return bad(r);
			continue;
		}
		high |= c;
		*o++ = (char)c;
	}
	if (p == r->end)
		return bad(r);
	r->p = p + 1;
	*out = str_n(start, (size_t)(o - start));
	return (high & 0x80) == 0 || str_utf8(*out) || bad(r);
}

/* ---- other values ---- */

static const char *digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* The end of the integer part at p (sign, no leading zero), or NULL. */
static const char *int_part(const char *p, const char *end)
{
	const char *d = p < end && *p == '-' ? p + 1 : p;
	const char *e = digits(d, end);

	return e == d || (e - d > 1 && *d == '0') ? NULL : e;
}

bool jsonr_int(struct jsonr *r, int64_t *out)
{
	const char *e, *p;
	int64_t v = 0;
	bool neg;

	if (jsonr_peek(r) != '0' || (e = int_part(r->p, r->end)) == NULL)
		return bad(r);
	if (e < r->end && (*e == '.' || *e == 'e' || *e == 'E'))
		return bad(r);
	neg = *r->p == '-';
	for (p = r->p + neg; p < e; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_sub_overflow(v, *p - '0', &v))
			return bad(r);
	if (!neg && __builtin_sub_overflow((int64_t)0, v, &v))
		return bad(r);
	r->p += e - r->p;
	*out = v;
	return true;
}

static bool skip_number(struct jsonr *r)
{
	const char *p = int_part(r->p, r->end), *e;

	if (p == NULL)
		return bad(r);
	if (p < r->end && *p == '.') {
		e = digits(++p, r->end);
		if (e == p)
			return bad(r);
		p = e;
	}
	if (p < r->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < r->end && (*p == '+' || *p == '-'))
			p++;
		e = digits(p, r->end);
		if (e == p)
			return bad(r);
		p = e;
	}
	r->p += p - r->p;
	return true;
}

static bool skip_word(struct jsonr *r, struct str word)
{
	if (!str_starts(str_n(r->p, (size_t)(r->end - r->p)), word))
		return bad(r);
	r->p += word.n;
	return true;
}

static bool skip_container(struct jsonr *r, bool object)
{
	struct str name;

	if (object ? !jsonr_obj(r) : !jsonr_arr(r))
		return false;
	while (object ? jsonr_member(r, &name) : jsonr_elem(r))
		if (!jsonr_skip(r))
			return false;
	return !r->failed;
}

bool jsonr_skip(struct jsonr *r)
{
	struct str s;

	switch (jsonr_peek(r)) {
	case '{': return skip_container(r, true);
	case '[': return skip_container(r, false);
	case '"': return jsonr_str(r, &s);
	case '0': return skip_number(r);
	case 't': return skip_word(r, STR("true"));
	case 'f': return skip_word(r, STR("false"));
	case 'n': return skip_word(r, STR("null"));
	default: return bad(r);
	}
}

bool jsonr_done(struct jsonr *r)
{
	if (r->failed || r->depth != 0)
		return false;
	blanks(r);
	return r->p == r->end || bad(r);
}

bool jsonr_names_add(struct jsonr_names *s, struct str name)
{
	if (s->n == JSONR_NAMES)
		return false;
	for (unsigned i = 0; i < s->n; i++)
		if (str_eq(s->name[i], name))
			return false;
	s->name[s->n++] = name;
	return true;
}
