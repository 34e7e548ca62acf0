#include "api/match.h"

#include "base/arena.h"
#include "base/hex.h"

static bool parse_method(struct str s, enum method *out)
{
	for (int m = 0; m < M__COUNT; m++) {
		if (!str_eqc(s, method_name((enum method)m)))
			continue;
		*out = (enum method)m;
		return true;
	}
	return false;
}

/* Decodes one segment; views into the path when there is nothing to decode. */
static enum err decode_segment(struct str s, struct arena *a, struct str *out)
{
	char *p;
	size_t k = 0;

	if (s.n > 0 && memchr(s.p, '%', s.n) == NULL) {
		*out = s;
	} else {
		p = arena_alloc(a, s.n + 1);
		if (p == NULL)
			return E_NOMEM;
		for (size_t i = 0; i < s.n; i++, k++) {
			p[k] = s.p[i];
			if (s.p[i] != '%')
				continue;
			if (i + 2 >= s.n || !hex_decode(str_n(s.p + i + 1, 2), &p[k]))
				return E_BAD_REQUEST;
			i += 2;
		}
		*out = str_n(p, k);
	}
	if (str_eq(*out, STR(".")) || str_eq(*out, STR("..")) || !str_utf8(*out))
		return E_BAD_REQUEST;
	return OK;
}

/* Every "%" begins a well-formed triplet that is not NUL, and no segment is "." or ".." once
 * decoded: checked for every path, before any template is looked at. */
static enum err check_path(struct str path, struct arena *a)
{
	struct str rest = str_skip(path, 1);

	if (memchr(path.p, '%', path.n) == NULL && memchr(path.p, '.', path.n) == NULL)
		return str_utf8(path) ? OK : E_BAD_REQUEST;
	while (rest.p != NULL) {
		struct str decoded, seg = str_cut(rest, '/', &rest);
		enum err e = decode_segment(seg, a, &decoded);

		if (e != OK)
			return e;
	}
	return OK;
}

/* Whether path fits the template; raw segments of its parameters go to `param`. A parameter is a
 * whole segment, or the rest of one behind a literal ("commands:batch" is a literal). */
static bool fits(const char *template, struct str path, struct str param[OP_PARAMS])
{
	struct str t = str_c(template), p = path;
	int np = 0;

	while (t.p != NULL && p.p != NULL) {
		struct str ts, ps;

		if (str_eq(t, STR("*"))) {
			param[np] = p;
			return true;
		}
		ts = str_cut(t, '/', &t);
		ps = str_cut(p, '/', &p);
		if (ts.n > 0 && ts.p[0] == '{') {
			if (ps.n == 0)
				return false;
			param[np++] = ps;
		} else if (!str_eq(ts, ps)) {
			return false;
		}
	}
	return t.p == NULL && p.p == NULL;
}

static enum err take(const struct op *op, struct str raw[OP_PARAMS], struct arena *a,
    struct match *out)
{
	bool rest = op->path[strlen(op->path) - 1] == '*';

	out->op = op;
	for (int i = 0; i < OP_PARAMS && raw[i].p != NULL; i++) {
		enum err e;

		if (rest && (i + 1 == OP_PARAMS || raw[i + 1].p == NULL)) {
			out->param[i] = raw[i]; /* goes on as it came */
			break;
		}
		e = decode_segment(raw[i], a, &out->param[i]);
		if (e != OK)
			return e;
	}
	return OK;
}

enum err match_op(unsigned listener, struct str method, struct str path, struct arena *a,
    struct match *out)
{
	enum method m = M__COUNT, wanted;
	bool known = parse_method(method, &m);
	enum err e;

	*out = (struct match){ 0 };
	if (path.n == 0 || path.p[0] != '/')
		return E_BAD_REQUEST;
	e = check_path(path, a);
	if (e != OK)
		return e;
	wanted = m == M_HEAD ? M_GET : m;
	for (size_t i = 0; i < ops_count; i++) {
		const struct op *op = &ops_all[i];
		struct str raw[OP_PARAMS] = { STR_NONE };

		if (!(op->on & listener) || !fits(op->path, path, raw))
			continue;
		if (known && op->method == wanted)
			return take(op, raw, a, out);
		out->allow |= 1u << op->method;
	}
	return out->allow != 0 ? E_METHOD_NOT_ALLOWED : E_NOT_FOUND;
}

unsigned match_methods(unsigned listener)
{
	unsigned methods = 0;

	for (size_t i = 0; i < ops_count; i++)
		if (ops_all[i].on & listener)
			methods |= 1u << ops_all[i].method;
	return methods;
}

struct str match_allow(unsigned allow, struct arena *a)
{
	char *p = arena_alloc(a, 64);
	size_t n = 0;

	if (p == NULL)
		return STR_NONE;
	allow |= 1u << M_OPTIONS;
	if (allow & 1u << M_GET)
		allow |= 1u << M_HEAD;
	for (int m = 0; m < M__COUNT; m++) {
		struct str name = str_c(method_name((enum method)m));

		if (!(allow & 1u << m))
			continue;
		if (n > 0) {
			memcpy(p + n, ", ", 2);
			n += 2;
		}
		memcpy(p + n, name.p, name.n);
		n += name.n;
	}
	return str_n(p, n);
}
