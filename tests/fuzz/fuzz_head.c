/* Heads of HTTP/1 requests, whole and in two pieces. What head_find and head_parse take must be what the
 * grammar, read naively below, takes, with the same parts; and a head in pieces must end where the
 * whole one does. Targets and authorities that are accepted must be free of what they may not contain. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "front/check.h"
#include "front/head.h"
#include "request/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

/* ---- the grammar, naively ---------------------------------------------------------------------- */

#define TCHARS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || strchr(TCHARS, s.p[i]) == NULL)
			return false;
	return s.n > 0;
}

static bool value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* Up to the first CR LF that stands in s; no other LF before it. */
static bool take_line(struct str *s, struct str *line)
{
	const char *end = memmem(s->p, s->n, "\r\n", 2);

	if (end == NULL)
		return false;
	*line = str_n(s->p, (size_t)(end - s->p));
	*s = str_skip(*s, line->n + 2);
	return memchr(line->p, '\n', line->n) == NULL;
}

static bool plain_request_line(struct str line)
{
	struct str rest, target, version, method = str_cut(line, ' ', &rest);

	target = str_cut(rest, ' ', &version);
	return token(method) && target.n > 0 && version.n == 8 && memcmp(version.p, "HTTP/1.", 7) == 0 &&
	    version.p[7] >= '0' && version.p[7] <= '1' && method.n <= 32;
}

/* Whether s starts with a head; its length, and how many fields it has. */
static bool plain(struct str s, size_t *len, size_t *fields)
{
	struct str line, rest = s, v;

	if (!take_line(&rest, &line) || !plain_request_line(line))
		return false;
	for (*fields = 0; take_line(&rest, &line); ++*fields) {
		if (line.n == 0) {
			*len = s.n - rest.n;
			return true;
		}
		if (!token(str_cut(line, ':', &v)) || v.p == NULL || !value(v))
			return false;
	}
	return false;
}

/* ---- ours -------------------------------------------------------------------------------------- */

static bool ours(const char *p, size_t n, struct request *r, size_t *len)
{
	struct head_scan scan = { 0 };
	const char *why;
	bool http_1_0;
	char *copy;
	enum err e;

	if (head_find(&scan, p, n, len, &why) != OK || *len == 0)
		return false;
	copy = arena_alloc(&r->arena, *len);
	memcpy(copy, p, *len);
	e = head_parse(copy, *len, r, &http_1_0, &why);
	return e == OK || e == E_LIMIT;
}

/* The same end, and the same verdict, when the head comes in two pieces. */
static void in_pieces(const char *p, size_t n, size_t cut)
{
	struct head_scan whole = { 0 }, parts = { 0 };
	const char *why;
	size_t a, b = 0;
	enum err ea = head_find(&whole, p, n, &a, &why), eb = head_find(&parts, p, cut, &b, &why);

	if (eb == OK && b == 0)
		eb = head_find(&parts, p, n, &b, &why);
	/* a request line that can't be one is refused earlier when it comes alone */
	if (a != b && !(ea == OK && eb != OK))
		abort();
}

static void target(struct str s)
{
	struct check_target t;
	const char *why;

	if (check_target(STR("GET"), s, &t, &why) != OK)
		return;
	if (t.path.n == 0 || t.path.p[0] != '/' || memmem(t.path.p, t.path.n, "%00", 3) != NULL)
		abort();
	for (size_t i = 0; i < t.path.n; i++)
		if (t.path.p[i] <= ' ' || t.path.p[i] >= 0x7f)
			abort();
	if (t.authority.p != NULL && (!check_authority(t.authority) ||
	    memchr(t.authority.p, '@', t.authority.n) != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t len = 0, expected = 0, fields = 0;
	char *p = malloc(n + 1); /* of its own size: a read past the end is seen */
	struct request r;
	const char *why;
	uint64_t length;
	bool good;

	if (n > 0)
		memcpy(p, data, n);
	target(str_n(p, n));
	request_init(&r);
	good = plain(str_n(p, n), &expected, &fields);
	if (ours(p, n, &r, &len) != good || (good && (len != expected || r.nheaders != fields)))
		abort();
	if (good)
		(void)check_framing(&r, false, &length, &why);
	if (n > 0)
		in_pieces(p, n, data[n - 1] % n);
	request_release(&r);
	free(p);
	return 0;
}
