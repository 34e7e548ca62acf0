/* Heads of HTTP/1 requests. The input is parsed in place as leniently as libmicrohttpd 0.9.75 parses
 * (its rules, stated anew below); check_layout sees only what that leaves. What it accepts must be what
 * a strict parser, which reads the untouched bytes, accepts too; and the other way round. Targets
 * and authorities that are accepted must be free of what they may not contain. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "front/check.h"
#include "request/op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

const struct op ops_all[1] = { { .name = "none" } };
const size_t ops_count = 0;

#define FIELDS 64

/* ---- the strict reading ---------------------------------------------------------------------- */

/* Takes a line with its CR LF off s. In fields a NUL before LF passes for CR: see check.h. */
static bool take_line(struct str *s, struct str *line, char cr)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->p[i] != '\n')
			continue;
		if (i == 0 || (s->p[i - 1] != '\r' && s->p[i - 1] != cr))
			return false;
		*line = str_n(s->p, i - 1);
		*s = str_skip(*s, i + 1);
		return true;
	}
	return false;
}

static bool strict_request_line(struct str line)
{
	struct str rest, method = str_cut(line, ' ', &rest), version, target;

	if (rest.p == NULL || !check_token(method))
		return false;
	target = str_cut(rest, ' ', &version);
	return version.n == 8 && memcmp(version.p, "HTTP/1.", 7) == 0 && version.p[7] >= '0' &&
	    version.p[7] <= '9' && target.n > 0 && memchr(target.p, '\0', target.n) == NULL;
}

static bool blank(char c)
{
	return c == '\r' || c == '\0';
}

/* Bare LFs with NULs beside them that pass for the last CR LF CR LF: see check.h. `lines`: also at the
 * end of a line, not only in place of the empty one. */
static void forgive_end(char *p, size_t n, bool lines)
{
	char *e = p + n - 4;

	if (n < 4 || e[3] != '\n')
		return;
	if ((e[0] == '\n' && e[1] == '\0' && blank(e[2])) ||
	    (lines && blank(e[0]) && e[1] == '\n' && blank(e[2])) ||
	    (lines && e[0] == '\0' && blank(e[1]) && e[2] == '\n'))
		memcpy(e, "\r\n\r\n", 4);
}

static bool strict(char *p, size_t n)
{
	struct str line, value, name, s = { p, n };
	size_t fields = 0;

	forgive_end(p, n, false);
	if (!take_line(&s, &line, '\r') || !strict_request_line(line))
		return false;
	forgive_end(p + n - s.n, s.n, true);
	while (take_line(&s, &line, '\0')) {
		if (line.n == 0)
			return s.n == 0;
		name = str_cut(line, ':', &value);
		if (value.p == NULL || !check_token(name) || !check_value(value) || ++fields > FIELDS)
			return false;
	}
	return false;
}

/* ---- the lenient one ------------------------------------------------------------------------- */

struct lenient {
	char *at, *end;
	char aside[8192]; /* folded lines are put together elsewhere */
	size_t aside_n;
	struct header h[FIELDS];
	size_t nh;
};

static char *next_line(struct lenient *l, size_t *n)
{
	char *line = l->at;

	for (char *p = line; p < l->end; p++) {
		size_t eol = *p == '\n' ? 1 : *p == '\r' && p + 1 < l->end && p[1] == '\n' ? 2 : 0;

		if (eol == 0)
			continue;
		*n = (size_t)(p - line);
		memset(p, 0, eol);
		l->at = p + eol;
		return line;
	}
	return NULL;
}

static bool lenient_request_line(char *line, size_t n, struct check_head *head)
{
	char *uri = memchr(line, ' ', n), *version = line + n - 1;

	if (uri == NULL || uri == line)
		return false;
	*uri++ = '\0';
	while (uri < line + n && *uri == ' ')
		uri++;
	while (version > uri && *version == ' ')
		version--;
	while (version > uri && *version != ' ')
		version--;
	if (uri >= line + n || version <= uri)
		return false;
	*version++ = '\0';
	if (line + n - version != 8 || memcmp(version, "HTTP/1.", 7) != 0 || version[7] < '0' ||
	    version[7] > '9')
		return false;
	*head = (struct check_head){ .method = line, .target = str_c(uri), .version = version };
	return true;
}

static bool fold(struct lenient *l, char **last, char *line)
{
	size_t a = strlen(*last), b = strlen(line);

	if (l->aside_n + a + b + 1 > sizeof l->aside)
		return false;
	memcpy(l->aside + l->aside_n, *last, a);
	memcpy(l->aside + l->aside_n + a, line, b + 1);
	*last = l->aside + l->aside_n;
	l->aside_n += a + b + 1;
	return true;
}

static bool lenient_fields(struct lenient *l)
{
	char *line, *last = NULL, *value = NULL;
	size_t n;

	while ((line = next_line(l, &n)) != NULL) {
		if (last != NULL && (*line == ' ' || *line == '\t')) {
			if (!fold(l, &last, line))
				return false;
			continue;
		}
		if (last != NULL) {
			if (l->nh == FIELDS)
				return false;
			l->h[l->nh++] = (struct header){ str_c(last), str_c(value) };
		}
		if (*line == '\0')
			return true;
		value = strchr(line, ':');
		if (value == NULL)
			return false;
		*value++ = '\0';
		while (*value == ' ' || *value == '\t')
			value++;
		last = line;
	}
	return false;
}

static bool lenient(char *p, size_t n)
{
	static struct lenient l;
	struct check_head head;
	char *line;
	size_t len;

	l.at = p;
	l.end = p + n;
	l.aside_n = l.nh = 0;
	line = next_line(&l, &len);
	if (line == NULL || *line == '\0' || !lenient_request_line(line, len, &head) || !lenient_fields(&l))
		return false;
	head.n = (size_t)(l.at - line);
	head.h = l.h;
	head.nh = l.nh;
	/* a blank in the target is check_target's to refuse */
	return l.at == l.end && check_layout(&head) == OK &&
	    memchr(head.target.p, ' ', head.target.n) == NULL;
}

/* ---- targets --------------------------------------------------------------------------------- */

static void target(struct str s)
{
	struct check_target t;

	if (check_target(STR("GET"), s, &t) != OK)
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
	char *p, *q;

	target(str_n((const char *)data, n));
	/* the buffer that a parser reads is never just as long as the head: a NUL stands behind it */
	p = calloc(1, n + 1);
	memcpy(p, data, n);
	q = calloc(1, n + 1);
	memcpy(q, data, n);
	if (lenient(p, n) != strict(q, n))
		abort();
	free(p);
	free(q);
	return 0;
}
