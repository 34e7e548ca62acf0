#include "front/check.h"

#include "request/request.h"

/* Characters of host and port. */
static const bool host_char[256] = {
	[':'] = true, ['['] = true, [']'] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
	['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static bool host_chars(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!host_char[(unsigned char)s.p[i]])
			return false;
	return true;
}

bool check_method(struct str s)
{
	for (int i = 0; i < M__COUNT; i++)
		if (str_eqc(s, method_name((enum method)i)))
			return true;
	return false;
}

/* ---- target -------------------------------------------------------------------------------- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The octet that "%XX" at the start of s stands for; -1: none. */
static int percent(struct str s)
{
	if (s.n < 3 || hex(s.p[1]) < 0 || hex(s.p[2]) < 0)
		return -1;
	return hex(s.p[1]) * 16 + hex(s.p[2]);
}

static bool target_chars(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
		if (s.p[i] == '%') {
			int c = percent(str_skip(s, i));

			if (c < 0x20 || c == 0x7f)
				return false;
		}
	}
	return true;
}

/* "." or "..", also with %2e. */
static bool dots(struct str s)
{
	int n = 0;

	while (s.n > 0) {
		bool coded = s.p[0] == '%' && percent(s) == '.';

		if (s.p[0] != '.' && !coded)
			return false;
		s = str_skip(s, coded ? 3 : 1);
		n++;
	}
	return n == 1 || n == 2;
}

static bool dot_segment(struct str target)
{
	struct str query, rest = str_cut(target, '?', &query);

	while (rest.p != NULL)
		if (dots(str_cut(rest, '/', &rest)))
			return true;
	return false;
}

/* "http://authority/path": takes scheme and authority off. */
static enum err absolute(struct str target, struct check_target *out, const char **why)
{
	static const struct str schemes[] = { { "http://", 7 }, { "https://", 8 } };
	size_t i, n = 0;

	for (i = 0; i < 2; i++)
		if (target.n > schemes[i].n && strncasecmp(target.p, schemes[i].p, schemes[i].n) == 0)
			break;
	if (i == 2)
		return check_bad(why, "the request target must be a path, or an http or https URL");
	target = str_skip(target, schemes[i].n);
	while (n < target.n && target.p[n] != '/' && target.p[n] != '?')
		n++;
	out->authority = str_n(target.p, n);
	if (!check_authority(out->authority) || (n < target.n && target.p[n] == '?'))
		return check_bad(why, "the URL in the request line is malformed");
	out->path = n < target.n ? str_skip(target, n) : STR("/");
	return OK;
}

enum err check_target(struct str method, struct str target, struct check_target *out, const char **why)
{
	enum err e = OK;

	*out = (struct check_target){ .path = target, .authority = STR_NONE };
	if (target.n == 0 || !target_chars(target))
		return check_bad(why, "the request target has a byte, or a percent-encoding, that may not be in it");
	if (str_eq(target, STR("*")))
		return str_eq(method, STR("OPTIONS")) ? OK
		    : check_bad(why, "the request target \"*\" goes with OPTIONS only");
	if (target.p[0] != '/')
		e = absolute(target, out, why);
	if (e == OK && dot_segment(out->path))
		e = check_bad(why, "the path has a segment \".\" or \"..\"");
	return e;
}

/* ---- fields -------------------------------------------------------------------------------- */

static bool check_port(struct str s)
{
	uint64_t port;

	return s.p == NULL || s.n == 0 || (s.n <= 5 && str_u64(s, 65535, &port));
}

bool check_authority(struct str s)
{
	struct str port, host;

	if (s.n == 0 || s.n > 255 + 6 || !host_chars(s))
		return false;
	if (s.p[0] == '[') {
		const char *close = memchr(s.p, ']', s.n);

		if (close == NULL || close == s.p + 1)
			return false;
		host = str_n(s.p + 1, (size_t)(close - s.p) - 1);
		port = str_skip(s, host.n + 2);
		if (port.n > 0 && port.p[0] != ':')
			return false;
		port = port.n > 0 ? str_skip(port, 1) : STR_NONE;
		return memchr(host.p, '[', host.n) == NULL && check_port(port);
	}
	host = str_cut(s, ':', &port);
	return host.n > 0 && memchr(host.p, '[', host.n) == NULL && memchr(host.p, ']', host.n) == NULL &&
	    check_port(port);
}

enum err check_framing(const struct request *r, bool http_1_0, uint64_t *length, const char **why)
{
	const uint8_t *n = r->known_count;

	*length = 0;
	if (n[HDR_HOST] == 0 && !http_1_0)
		return check_bad(why, "the Host header is missing");
	if (n[HDR_HOST] > 1)
		return check_bad(why, "the Host header is given twice");
	if (n[HDR_HOST] == 1 && !check_authority(request_known(r, HDR_HOST)))
		return check_bad(why, "the Host header is not a host and port");
	if (n[HDR_TRANSFER_ENCODING] > 0 && n[HDR_CONTENT_LENGTH] > 0)
		return check_bad(why, "Content-Length and Transfer-Encoding exclude each other");
	if (n[HDR_TRANSFER_ENCODING] > 0 && http_1_0)
		return check_bad(why, "HTTP/1.0 has no Transfer-Encoding");
	if (n[HDR_CONTENT_LENGTH] > 1 || n[HDR_TRANSFER_ENCODING] > 1)
		return check_bad(why, "Content-Length or Transfer-Encoding is given twice");
	if (n[HDR_CONTENT_LENGTH] == 1 &&
	    !str_u64(request_known(r, HDR_CONTENT_LENGTH), INT64_MAX, length))
		return check_bad(why, "Content-Length is not a number");
	if (n[HDR_TRANSFER_ENCODING] == 0)
		return OK;
	*length = CHECK_CHUNKED;
	return str_ieq(request_known(r, HDR_TRANSFER_ENCODING), STR("chunked")) ? OK
	    : check_bad(why, "the only Transfer-Encoding known here is chunked");
}

enum err check_expect(const struct request *r)
{
	if (r->known_count[HDR_EXPECT] == 0)
		return OK;
	return r->known_count[HDR_EXPECT] == 1 && str_ieq(request_known(r, HDR_EXPECT), STR("100-continue"))
	    ? OK : E_EXPECTATION;
}
