#include "base/jsonw.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/swar.h"

static void sep(struct jsonw *w)
{
	if (w->comma)
		buf_addc(w->out, ',');
	w->comma = true;
}

static void open(struct jsonw *w, char c)
{
	sep(w);
	buf_addc(w->out, c);
	w->comma = false;
}

static void close(struct jsonw *w, char c)
{
	buf_addc(w->out, c);
	w->comma = true;
}

void jsonw_obj(struct jsonw *w) { open(w, '{'); }
void jsonw_obj_end(struct jsonw *w) { close(w, '}'); }
void jsonw_arr(struct jsonw *w) { open(w, '['); }
void jsonw_arr_end(struct jsonw *w) { close(w, ']'); }

void jsonw_key(struct jsonw *w, const char *key)
{
	sep(w);
	jsonw_escape(w->out, str_c(key));
	buf_addc(w->out, ':');
	w->comma = false;
}

void jsonw_str(struct jsonw *w, struct str s)
{
	if (s.p == NULL) {
		jsonw_null(w);
		return;
	}
	sep(w);
	jsonw_escape(w->out, s);
}

void jsonw_int(struct jsonw *w, int64_t v)
{
	sep(w);
	if (v < 0)
		buf_addc(w->out, '-');
	buf_addu(w->out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void jsonw_bool(struct jsonw *w, bool v)
{
	sep(w);
	buf_addz(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
	sep(w);
	buf_addz(w->out, "null");
}

void jsonw_raw(struct jsonw *w, struct str json)
{
	sep(w);
	buf_adds(w->out, json);
}

void jsonw_id(struct jsonw *w, struct id id)
{
	char t[ID_TEXT_LEN];

	jsonw_str(w, str_c(id_text(id, t)));
}

void jsonw_time(struct jsonw *w, int64_t wall)
{
	char t[CLOCK_RFC3339_LEN];

	jsonw_str(w, str_c(clock_rfc3339(wall, t)));
}

void jsonw_kstr(struct jsonw *w, const char *key, struct str s)
{
	jsonw_key(w, key);
	jsonw_str(w, s);
}

void jsonw_kz(struct jsonw *w, const char *key, const char *z)
{
	jsonw_kstr(w, key, str_c(z));
}

void jsonw_kint(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_int(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *key, bool v)
{
	jsonw_key(w, key);
	jsonw_bool(w, v);
}

void jsonw_kid(struct jsonw *w, const char *key, struct id id)
{
	jsonw_key(w, key);
	jsonw_id(w, id);
}

void jsonw_ktime(struct jsonw *w, const char *key, int64_t wall)
{
	jsonw_key(w, key);
	jsonw_time(w, wall);
}

void jsonw_ktime_or_null(struct jsonw *w, const char *key, int64_t wall)
{
	if (wall != 0) {
		jsonw_ktime(w, key, wall);
	} else {
		jsonw_key(w, key);
		jsonw_null(w);
	}
}

static void escape_char(struct buf *b, unsigned char c)
{
	static const char names[] = "btnvfr"; /* 8..13; \v has no short form */

	if (c == '"' || c == '\\') {
		buf_addc(b, '\\');
		buf_addc(b, (char)c);
	} else if (c >= 8 && c <= 13 && c != 11) {
		buf_addc(b, '\\');
		buf_addc(b, names[c - 8]);
	} else {
		char t[6] = { '\\', 'u', '0', '0' };

		hex_encode(&c, 1, t + 4);
		buf_add(b, t, 6);
	}
}

static bool odd(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c >= 0x7f;
}

static uint64_t odd8(const char *p)
{
	uint64_t v = swar_load(p);

	return swar_below(v, 0x20) | swar_equal(v, '"') | swar_equal(v, '\\') | swar_equal(v, 0x7f) |
	    swar_not_ascii(v);
}

/* As most strings are: nothing in it needs escaping. */
static bool plain(struct str s)
{
	size_t i = 0;

	for (; s.n - i >= 8; i += 8)
		if (odd8(s.p + i) != 0)
			return false;
	for (; i < s.n; i++)
		if (odd((unsigned char)s.p[i]))
			return false;
	return true;
}

static void quote(struct buf *b, struct str s)
{
	char *o = b->p + b->n;

	o[0] = '"';
	if (s.n > 0)
		memcpy(o + 1, s.p, s.n);
	o[s.n + 1] = '"';
	b->n += s.n + 2;
}

void jsonw_escape(struct buf *b, struct str s)
{
	size_t from = 0;
	bool utf8;

	if (plain(s)) {
		if (buf_reserve(b, s.n + 2) == OK)
			quote(b, s);
		return;
	}
	utf8 = str_utf8(s);
	buf_addc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!odd(c) || (c >= 0x80 && utf8))
			continue;
		buf_add(b, s.p + from, i - from);
		from = i + 1;
		if (c >= 0x80)
			buf_addz(b, "\\ufffd");
		else
			escape_char(b, c);
	}
	buf_add(b, s.p + from, s.n - from);
	buf_addc(b, '"');
}
