#include "proxy/json_scan.h"

#include <stdint.h>

#include "base/hex.h"

struct json_scan json_scan_of(struct str text)
{
	return (struct json_scan){ .text = text };
}

static bool bad(struct json_scan *s, const char *fault)
{
	if (s->fault == NULL)
		s->fault = fault;
	return false;
}

static int peek(const struct json_scan *s)
{
	return s->at < s->text.n ? (unsigned char)s->text.p[s->at] : -1;
}

static void blanks(struct json_scan *s)
{
	while (s->at < s->text.n && (s->text.p[s->at] == ' ' || s->text.p[s->at] == '\n' ||
	    s->text.p[s->at] == '\t' || s->text.p[s->at] == '\r'))
		s->at++;
}

/* ---- scalars ----------------------------------------------------------------------------------- */

static bool escape(struct json_scan *s)
{
	char hex[2];
	int c = peek(s);

	s->at++;
	if (c == 'u') {
		if (s->text.n - s->at < 4 || !hex_decode(str_n(s->text.p + s->at, 4), hex))
			return bad(s, "malformed \\u escape");
		s->at += 4;
		return true;
	}
	return (c > 0 && strchr("\"\\/bfnrt", c) != NULL) || bad(s, "unknown escape");
}

static bool string(struct json_scan *s)
{
	s->at++;
	while (s->at < s->text.n) {
		int c = peek(s);

		if (c < 0x20)
			return bad(s, "control character in a string");
		s->at++;
		if (c == '"')
			return true;
		if (c == '\\' && !escape(s))
			return false;
	}
	return bad(s, "string without an end");
}

static size_t digits(struct json_scan *s)
{
	size_t from = s->at;

	while (peek(s) >= '0' && peek(s) <= '9')
		s->at++;
	return s->at - from;
}

/* number = [ minus ] int [ frac ] [ exp ] */
static bool number(struct json_scan *s)
{
	if (peek(s) == '-')
		s->at++;
	if (peek(s) == '0')
		s->at++;
	else if (digits(s) == 0)
		return bad(s, "malformed number");
	if (peek(s) == '.') {
		s->at++;
		if (digits(s) == 0)
			return bad(s, "malformed number");
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		if (digits(s) == 0)
			return bad(s, "malformed number");
	}
	return true;
}

static bool literal(struct json_scan *s, struct str word)
{
	if (!str_starts(str_skip(s->text, s->at), word))
		return bad(s, "a value is expected");
	s->at += word.n;
	return true;
}

/* ---- structure --------------------------------------------------------------------------------- */

static bool value(struct json_scan *s, int depth);

static bool open_with(struct json_scan *s, char c, const char *fault)
{
	blanks(s);
	if (peek(s) != c)
		return bad(s, fault);
	s->at++;
	return true;
}

bool json_scan_object(struct json_scan *s)
{
	return open_with(s, '{', "an object is expected");
}

bool json_scan_array(struct json_scan *s)
{
	return open_with(s, '[', "an array is expected");
}

static bool key_and_colon(struct json_scan *s, struct str *key)
{
	size_t from = s->at;

	if (peek(s) != '"')
		return bad(s, "a member name is expected");
	if (!string(s))
		return false;
	*key = str_n(s->text.p + from, s->at - from);
	blanks(s);
	if (peek(s) != ':')
		return bad(s, "a colon is expected");
	s->at++;
	return true;
}

/* What stands before a member or element: nothing before the first, else a comma; or what ends all. */
static enum json_member before(struct json_scan *s, bool *first, char end, const char *fault)
{
	blanks(s);
	if (peek(s) == end) {
		s->at++;
		return MEMBER_END;
	}
	if (!*first) {
		if (peek(s) != ',')
			return bad(s, fault), MEMBER_BAD;
		s->at++;
		blanks(s);
	}
	*first = false;
	return MEMBER_FOUND;
}

static enum json_member before_member(struct json_scan *s, bool *first)
{
	return before(s, first, '}', "a comma or a closing brace is expected");
}

static enum json_member before_element(struct json_scan *s, bool *first)
{
	return before(s, first, ']', "a comma or a closing bracket is expected");
}

enum json_member json_scan_member(struct json_scan *s, bool *first, struct str *key, struct str *raw)
{
	enum json_member m = before_member(s, first);

	if (m != MEMBER_FOUND)
		return m;
	return key_and_colon(s, key) && json_scan_value(s, raw) ? MEMBER_FOUND : MEMBER_BAD;
}

enum json_member json_scan_element(struct json_scan *s, bool *first, struct str *raw)
{
	enum json_member m = before_element(s, first);

	return m != MEMBER_FOUND || json_scan_value(s, raw) ? m : MEMBER_BAD;
}

static bool object(struct json_scan *s, int depth)
{
	enum json_member m;
	bool first = true;
	struct str key;

	s->at++;
	while ((m = before_member(s, &first)) == MEMBER_FOUND)
		if (!key_and_colon(s, &key) || !value(s, depth))
			return false;
	return m == MEMBER_END;
}

static bool array(struct json_scan *s, int depth)
{
	enum json_member m;
	bool first = true;

	s->at++;
	while ((m = before_element(s, &first)) == MEMBER_FOUND)
		if (!value(s, depth))
			return false;
	return m == MEMBER_END;
}

/* Recursion is bounded by JSON_SCAN_DEPTH. */
static bool value(struct json_scan *s, int depth)
{
	if (depth == 0)
		return bad(s, "nested too deeply");
	blanks(s);
	switch (peek(s)) {
	case '{':
		return object(s, depth - 1);
	case '[':
		return array(s, depth - 1);
	case '"':
		return string(s);
	case 't':
		return literal(s, STR("true"));
	case 'f':
		return literal(s, STR("false"));
	case 'n':
		return literal(s, STR("null"));
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7':
	case '8': case '9':
		return number(s);
	default:
		return bad(s, "a value is expected");
	}
}

bool json_scan_value(struct json_scan *s, struct str *raw)
{
	size_t from;

	blanks(s);
	from = s->at;
	if (!value(s, JSON_SCAN_DEPTH))
		return false;
	*raw = str_n(s->text.p + from, s->at - from);
	return true;
}

bool json_scan_end(struct json_scan *s)
{
	blanks(s);
	return s->at == s->text.n || bad(s, "more behind the value");
}

enum err json_scan_fail(const struct json_scan *s, struct fail *f)
{
	return fail_set(f, E_BAD_JSON, "the body is not valid JSON: %s at byte %zu", s->fault, s->at);
}

/* ---- text -------------------------------------------------------------------------------------- */

static bool unit16(const char *p, const char *end, uint32_t *u)
{
	unsigned char b[2];

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex_decode(str_n(p + 2, 4), b))
		return false;
	*u = (uint32_t)b[0] << 8 | b[1];
	return true;
}

static char *put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

/* Decodes \uXXXX, with its second half where it needs one; returns what stands behind, or NULL. */
static const char *unescape_u(const char *p, const char *end, char **o)
{
	uint32_t c, low;

	if (!unit16(p, end, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
		return NULL;
	p += 6;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!unit16(p, end, &low) || low < 0xdc00 || low > 0xdfff)
			return NULL;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*o = put_utf8(*o, c);
	return p;
}

static char short_escape(char c)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at = strchr(from, c);

	return at != NULL ? to[at - from] : c;
}

struct str json_scan_text(struct arena *a, struct str raw)
{
	const char *p = raw.p + 1, *end = raw.p + raw.n - 1;
	char *out, *o;

	if (raw.n < 2 || raw.p[0] != '"')
		return STR_NONE;
	out = o = arena_alloc(a, raw.n);
	while (out != NULL && p < end) {
		if (*p != '\\') {
			*o++ = *p++;
		} else if (p[1] == 'u') {
			p = unescape_u(p, end, &o);
			if (p == NULL)
				return STR_NONE;
		} else {
			*o++ = short_escape(p[1]);
			p += 2;
		}
	}
	if (out != NULL)
		*o = '\0';
	return str_n(out, out != NULL ? (size_t)(o - out) : 0);
}

struct str json_scan_find_text(struct arena *a, struct str json, struct str name)
{
	struct json_scan s = json_scan_of(json);
	struct str key, raw, found = STR_NONE;
	bool first = true;

	if (!str_utf8(json) || !json_scan_object(&s))
		return STR_NONE;
	while (json_scan_member(&s, &first, &key, &raw) == MEMBER_FOUND)
		if (str_eq(str_n(key.p + 1, key.n - 2), name))
			found = raw;
	return found.p != NULL ? json_scan_text(a, found) : STR_NONE;
}
