#include "front/head.h"

#include "request/request.h"

#define METHOD_MAX 32 /* bytes that a method may have, of those that are unknown, too */

struct request_line {
	struct str method, target;
	bool http_1_0;
};

/* HTTP-version = "HTTP/" DIGIT "." DIGIT. There is no 1.2, and there will be none. */
static enum err version(struct str s, bool *http_1_0)
{
	if (s.n != 8 || memcmp(s.p, "HTTP/", 5) != 0 || s.p[5] < '0' || s.p[5] > '9' || s.p[6] != '.' ||
	    s.p[7] < '0' || s.p[7] > '9')
		return E_BAD_REQUEST;
	*http_1_0 = s.p[7] == '0';
	return s.p[5] == '1' && s.p[7] <= '1' ? OK : E_HTTP_VERSION;
}

/* request-line = method SP request-target SP HTTP-version */
static enum err request_line(struct str line, struct request_line *out)
{
	struct str rest, last;

	out->method = str_cut(line, ' ', &rest);
	out->target = str_cut(rest, ' ', &last);
	if (!header_is_token(out->method) || out->method.n > METHOD_MAX || out->target.n == 0 || last.p == NULL)
		return E_BAD_REQUEST;
	return version(last, &out->http_1_0);
}

/* Whether a request line may begin so: a TLS hello, or noise, is told without waiting for its end. */
static bool begun(struct str s)
{
	struct str rest, method = str_cut(s, ' ', &rest);

	if (rest.p == NULL && method.n > 0 && method.p[method.n - 1] == '\r')
		method.n--; /* an empty line, which is not ours to judge */
	return method.n == 0 ? rest.p == NULL : method.n <= METHOD_MAX && header_is_token(method);
}

enum err head_find(struct head_scan *s, const char *p, size_t n, size_t *len)
{
	bool had_line = s->line > 0;
	struct request_line first;
	const char *lf;

	*len = 0;
	while ((lf = memchr(p + s->at, '\n', n - s->at)) != NULL) {
		size_t end = (size_t)(lf - p);

		if (end == s->line || p[end - 1] != '\r')
			return E_BAD_REQUEST;
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
		return begun(str_n(p, n)) ? OK : E_BAD_REQUEST;
	lf = memchr(p, '\n', n);
	return request_line(str_n(p, (size_t)(lf - p) - 1), &first);
}

/* The line at *p without its CR LF; moves on behind that. */
static struct str next_line(char **p)
{
	char *start = *p, *lf = rawmemchr(start, '\n');

	*p = lf + 1;
	return str_n(start, (size_t)(lf - start) - 1);
}

enum err head_parse(char *p, size_t n, struct request *r, bool *http_1_0)
{
	const char *end = p + n - 2; /* the empty line */
	struct request_line first = { 0 };
	enum err e = request_line(next_line(&p), &first);

	r->method = first.method;
	r->target = first.target;
	*http_1_0 = first.http_1_0;
	while (e == OK && p < end) {
		char *line = p;
		struct header h;

		e = header_split(line, next_line(&p).n, &h) ? request_add_field(r, h.name, h.value)
		    : E_BAD_REQUEST;
	}
	return e;
}
