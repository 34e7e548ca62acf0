#include "mail/message.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/hex.h"
#include "iam/email.h"

#define LINE_SHOULD 78  /* characters of a line, RFC 5322, 2.1.1 */
#define LINE_MUST 998
#define WORD_BYTES 45   /* of text in one encoded-word: 60 characters of base64 and 12 around them */
#define QP_LINE 76      /* RFC 2045, 6.7 (5), with the "=" of a soft break */

/* ---- characters ---------------------------------------------------------------------------- */

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* UTF-8 without control characters, those of C1 included. */
static bool is_one_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_control(s.p[i]) || (s.p[i] == '\xc2' && i + 1 < s.n &&
		    (unsigned char)s.p[i + 1] < 0xa0))
			return false;
	return str_utf8(s);
}

/* atext of RFC 5322, 3.2.3, and of RFC 6532, 3.2. */
static bool is_atext(char c)
{
	if ((unsigned char)c >= 0x80)
		return true;
	return c > ' ' && c < 0x7f && strchr("()<>[]:;@\\,.\"", c) == NULL;
}

static bool is_dot_atom(struct str s)
{
	bool dot = true; /* none at the start, none after another */

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? dot : !is_atext(s.p[i]))
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void quoted_string(struct str s, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
	buf_addc(out, '"');
}

static bool address_is_valid(struct str addr)
{
	struct str domain;

	(void)str_cut(addr, '@', &domain);
	return email_is_valid(addr) && is_one_line(addr) && is_dot_atom(domain);
}

enum err mailbox_address(struct str addr, struct buf *out)
{
	struct str domain, local = str_cut(addr, '@', &domain);

	if (!address_is_valid(addr))
		return E_INVALID_FIELD;
	if (is_dot_atom(local))
		buf_adds(out, local);
	else
		quoted_string(local, out);
	buf_addc(out, '@');
	buf_adds(out, domain);
	return buf_err(out);
}

bool mailbox_parse(struct str s, struct mailbox *out)
{
	const char *open;

	s = str_trim(s);
	*out = (struct mailbox){ .addr = s };
	if (s.n > 0 && s.p[s.n - 1] == '>') {
		open = memrchr(s.p, '<', s.n);
		if (open == NULL)
			return false;
		out->addr = str_n(open + 1, (size_t)(s.p + s.n - open) - 2);
		out->name = str_trim(str_n(s.p, (size_t)(open - s.p)));
	}
	if (out->name.n >= 2 && out->name.p[0] == '"' && out->name.p[out->name.n - 1] == '"')
		out->name = str_n(out->name.p + 1, out->name.n - 2);
	if (out->name.n == 0)
		out->name = STR_NONE;
	return address_is_valid(out->addr) && is_one_line(out->name);
}

/* ---- headers ------------------------------------------------------------------------------- */

/* At most WORD_BYTES, whole characters. */
static size_t word_len(struct str s)
{
	size_t n = s.n < WORD_BYTES ? s.n : WORD_BYTES;

	while (n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* RFC 2047; one line each, the first behind the header's name. */
static void encoded_words(struct str s, struct buf *out)
{
	char b64[B64_LEN(WORD_BYTES)];
	bool first = true;

	while (s.n > 0) {
		size_t n = word_len(s);

		if (!first)
			buf_addz(out, "\r\n ");
		buf_addz(out, "=?UTF-8?B?");
		buf_add(out, b64, b64_encode(s.p, n, b64));
		buf_addz(out, "?=");
		s = str_skip(s, n);
		first = false;
	}
}

/* A phrase: the name of a mailbox. */
static void phrase(struct str s, struct buf *out)
{
	bool plain = true;

	for (size_t i = 0; i < s.n; i++)
		plain &= is_atext(s.p[i]) || s.p[i] == ' ';
	if (!is_ascii(s) || s.n > LINE_SHOULD - 20 || memmem(s.p, s.n, "=?", 2) != NULL)
		encoded_words(s, out);
	else if (plain)
		buf_adds(out, s);
	else
		quoted_string(s, out);
}

static enum err mailbox_header(const char *name, const struct mailbox *b, struct buf *out,
    struct fail *f)
{
	enum err e;

	if (!is_one_line(b->name))
		return fail_set(f, E_INVALID_FIELD, "%s: the name must be one line of UTF-8", name);
	buf_printf(out, "%s: ", name);
	if (b->name.n > 0) {
		phrase(b->name, out);
		buf_addz(out, b->name.n + b->addr.n > LINE_SHOULD - 20 || !is_ascii(b->name) ?
		    "\r\n <" : " <");
	}
	e = mailbox_address(b->addr, out);
	if (e == E_INVALID_FIELD)
		return fail_set(f, e, "%s: this is no e-mail address", name);
	buf_addz(out, b->name.n > 0 ? ">\r\n" : "\r\n");
	return OK;
}

static enum err subject_header(struct str s, struct buf *out, struct fail *f)
{
	static const char name[] = "Subject: ";

	if (!is_one_line(s))
		return fail_set(f, E_INVALID_FIELD, "Subject: must be one line of UTF-8");
	buf_addz(out, name);
	if (is_ascii(s) && s.n <= LINE_SHOULD - strlen(name) && memmem(s.p, s.n, "=?", 2) == NULL)
		buf_adds(out, s);
	else
		encoded_words(s, out);
	buf_addz(out, "\r\n");
	return OK;
}

/* RFC 5322, 3.3; the names of days and months are English whatever the locale. */
static void date_header(int64_t wall, struct buf *out)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(wall / CLOCK_SEC);
	struct tm tm;

	gmtime_r(&t, &tm);
	buf_printf(out, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday,
	    tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void id_header(struct id id, struct str from, struct buf *out)
{
	char text[ID_TEXT_LEN];
	struct str domain;

	(void)str_cut(from, '@', &domain);
	if (!is_ascii(domain))
		domain = STR("localhost");
	buf_printf(out, "Message-ID: <%s@%.*s>\r\n", id_text(id, text), STR_ARG(domain));
}

/* ---- body ---------------------------------------------------------------------------------- */

/* The next line without its end; false when there is none. */
static bool next_line(struct str *rest, struct str *line)
{
	if (rest->n == 0)
		return false;
	*line = str_cut(*rest, '\n', rest);
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool text_is_valid(struct str s)
{
	struct str line;

	if (!str_utf8(s))
		return false;
	while (next_line(&s, &line))
		for (size_t i = 0; i < line.n; i++)
			if (is_control(line.p[i]) && line.p[i] != '\t')
				return false;
	return true;
}

static bool needs_quoting(struct str s)
{
	struct str line, rest = s;

	while (next_line(&rest, &line))
		if (line.n > LINE_MUST)
			return true;
	return !is_ascii(s);
}

static void quoted_line(struct str s, struct buf *out)
{
	size_t column = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool blank_at_end = (c == ' ' || c == '\t') && i + 1 == s.n;
		bool plain = (c >= ' ' || c == '\t') && c < 0x7f && c != '=' && !blank_at_end;
		size_t width = plain ? 1 : 3;

		if (column + width > QP_LINE - 1) {
			buf_addz(out, "=\r\n");
			column = 0;
		}
		if (plain)
			buf_addc(out, (char)c);
		else
			buf_printf(out, "=%02X", c);
		column += width;
	}
}

static void body(struct str text, bool quote, struct buf *out)
{
	struct str line;

	while (next_line(&text, &line)) {
		if (quote)
			quoted_line(line, out);
		else
			buf_adds(out, line);
		buf_addz(out, "\r\n");
	}
}

/* ---- all of it ----------------------------------------------------------------------------- */

enum err message_write(const struct message *m, struct buf *out, struct fail *f)
{
	bool quote = needs_quoting(m->text);
	enum err e;

	if (!text_is_valid(m->text))
		return fail_set(f, E_INVALID_FIELD, "the text of a mail must be UTF-8 without control "
		    "characters");
	date_header(m->date, out);
	e = mailbox_header("From", &m->from, out, f);
	if (e == OK)
		e = mailbox_header("To", &m->to, out, f);
	if (e == OK)
		e = subject_header(m->subject, out, f);
	if (e != OK)
		return e;
	id_header(m->id, m->from.addr, out);
	buf_printf(out, "Auto-Submitted: auto-generated\r\n" /* RFC 3834, 5 */
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n", quote ? "quoted-printable" : "7bit");
	body(m->text, quote, out);
	e = buf_err(out);
	return e == OK ? OK : fail_set(f, e, "a mail past %zu bytes", out->max);
}
