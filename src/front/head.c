#include "front/head.h"

#include "front/check.h"
#include "request/request.h"

#define METHOD_MAX 32 /* bytes that a method may have, of those that are unknown, too */

struct request_line {
	struct str method, target;
	bool http_1_0;
};

/* HTTP-version = "HTTP/" DIGIT "." DIGIT. There is no 1.2, and there will be none. */
static enum err version(struct str s, bool *http_1_0, const char **why)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[5] < '0' || s.p[5] > '9' || s.p[6] != '.' ||
	    s.p[7] < '0' || s.p[7] > '9')
		return check_bad(why, "the request line does not end with an HTTP version");
	*http_1_0 = s.p[7] == '0';
	return s.p[5] == '1' && s.p[7] <= '1' ? OK : E_HTTP_VERSION;
}

/* request-line = method SP request-target SP HTTP-version */
static enum err request_line(struct str line, struct request_line *out, const char **why)
{
	struct str rest, last;

	out->method = str_cut(line, ' ', &rest);
	out->target = str_cut(rest, ' ', &last);
	if (!header_is_token(out->method) || out->method.n > METHOD_MAX)
		return check_bad(why, "the request line does not begin with a method");
	if (out->target.n == 0 || last.p == NULL)
		return check_bad(why, "the request line is not method, target and version with one blank between");
	return version(last, &out->http_1_0, why);
}

/* Whether a request line may begin so: a TLS hello, or noise, is told without waiting for its end. */
static bool begun(struct str s)
{
	struct str rest, method = str_cut(s, ' ', &rest);

	if (rest.p == NULL && method.n > 0 && method.p[method.n - 1] == '\r')
		method.n--; /* an empty line, which is not ours to judge */
	return method.n == 0 ? rest.p == NULL : method.n <= METHOD_MAX && header_is_token(method);
}

enum err head_find(struct head_scan *s, const char *p, size_t n, size_t *len, const char **why)
{
	bool had_line = s->line > 0;
	struct request_line first;
	const char *lf;

	*len = 0;
	while ((lf = memchr(p + s->at, '\n', n - s->at)) != NULL) {
		size_t end = (size_t)(lf - p);

		if (end == s->line || p[end - 1] != '\r')
			return check_bad(why, "a line of the head ends with a bare LF");
		if (end - 1 == s->line) {
			*len = end + 1;
			return OK;
		}
		s->line = s->at = end + 1;
	}
	s->at = n;
	if (had_line)
		return OK;
	if (s->line == 0)
		return begun(str_n(p, n)) ? OK : check_bad(why, "the request line does not begin with a method");
	lf = memchr(p, '\n', n);
	return request_line(str_n(p, (size_t)(lf - p) - 1), &first, why);
}

/* The line at *p without its CR LF; moves on behind that. */
static struct str next_line(char **p)
{
	char *start = *p, *lf = rawmemchr(start, '\n');

	*p = lf + 1;
	return str_n(start, (size_t)(lf - start) - 1);
}

/* Why header_split does not take it; names are lower-cased already as far as they go. */
static const char *header_fault(struct str line)
{
	struct str value, name = str_cut(line, ':', &value);

	if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		return "a header line begins with a blank: folded lines are not taken";
	if (value.p == NULL)
		return "a header line has no colon";
	if (!header_is_token(name))
		return name.n > 0 && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t')
		    ? "a blank stands before the colon of a header"
		    : "the name of a header has a byte that may not be in it";
	return "the value of a header has a control character";
}

enum err head_parse(char *p, size_t n, struct request *r, bool *http_1_0, const char **why)
{
	const char *end = p + n - 2; /* the empty line */
	struct request_line first = { 0 };
	enum err e = request_line(next_line(&p), &first, why);

	r->method = first.method;
	r->target = first.target;
	*http_1_0 = first.http_1_0;
	while (e == OK && p < end) {
		char *start = p;
		struct str line = next_line(&p);
		struct header h;

		e = header_split(start, line.n, &h) ? request_add_field(r, h.name, h.value)
		    : check_bad(why, header_fault(line));
	}
	return e;
}
