#include "store/sql.h"

#include <ctype.h>

static size_t quoted_len(struct str s, char close)
{
	size_t i = 1;

	while (i < s.n) {
		if (s.p[i++] != close)
			continue;
		/* a doubled quote is one character; brackets have no such thing */
		if (close == ']' || i >= s.n || s.p[i] != close)
			return i;
		i++;
	}
	return s.n;
}

static size_t comment_len(struct str s)
{
	const char *end;

	if (s.p[0] == '-') {
		end = memchr(s.p, '\n', s.n);
		return end != NULL ? (size_t)(end - s.p) + 1 : s.n;
	}
	end = s.n > 2 ? memmem(s.p + 2, s.n - 2, "*/", 2) : NULL;
	return end != NULL ? (size_t)(end - s.p) + 2 : s.n;
}

static bool is_comment(struct str s)
{
	return s.n >= 2 && ((s.p[0] == '-' && s.p[1] == '-') || (s.p[0] == '/' && s.p[1] == '*'));
}

static bool is_word(char c)
{
	unsigned char u = (unsigned char)c;

	return isalnum(u) || u == '_' || u == '$' || u >= 0x80;
}

static size_t run_len(struct str s, bool (*in)(char))
{
	size_t n = 0;

	while (n < s.n && in(s.p[n]))
		n++;
	return n;
}

/* What SQLite takes for space: not the vertical tab. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static enum sql_token classify(struct str s, size_t *n)
{
	char c = s.p[0];

	if (is_blank(c))
		return *n = run_len(s, is_blank), SQL_BLANK;
	if (is_comment(s))
		return *n = comment_len(s), SQL_BLANK;
	if (is_word(c))
		return *n = run_len(s, is_word), SQL_WORD;
	if (c == '\'' || c == '"' || c == '`' || c == '[')
		return *n = quoted_len(s, c == '[' ? ']' : c), SQL_QUOTED;
	*n = 1;
	return c == '?' ? SQL_PARAM : c == ';' ? SQL_SEMI : SQL_OTHER;
}

enum sql_token sql_next_token(struct str *rest, struct str *text)
{
	enum sql_token t = SQL_END;
	size_t n = 0;

	if (rest->n > 0)
		t = classify(*rest, &n);
	if (text != NULL)
		*text = str_n(rest->p, n);
	*rest = n > 0 ? str_skip(*rest, n) : *rest;
	return t;
}

/* Where we are in CREATE [TEMP|TEMPORARY] TRIGGER ... ; END ; as words go by. */
enum trigger { T_START, T_CREATE, T_NOT, T_BODY, T_SEMI, T_END };

static enum trigger trigger_step(enum trigger t, enum sql_token token, struct str text)
{
	if (token == SQL_BLANK)
		return t;
	if (t == T_START)
		return str_ieq(text, STR("create")) ? T_CREATE : T_NOT;
	if (t == T_CREATE) {
		if (str_ieq(text, STR("temp")) || str_ieq(text, STR("temporary")))
			return T_CREATE;
		return str_ieq(text, STR("trigger")) ? T_BODY : T_NOT;
	}
	if (t == T_NOT)
		return T_NOT;
	if (token == SQL_SEMI)
		return T_SEMI;
	return t == T_SEMI && str_ieq(text, STR("end")) ? T_END : T_BODY;
}

struct str sql_next_statement(struct str *script)
{
	enum trigger trigger = T_START;
	enum sql_token token;
	struct str text, out = STR_NONE;
	const char *last = NULL; /* the end of the last token that is not a blank */

	while ((token = sql_next_token(script, &text)) != SQL_END) {
		if (token == SQL_SEMI && out.p == NULL)
			continue; /* an empty statement */
		if (token == SQL_SEMI && (trigger == T_NOT || trigger == T_CREATE || trigger == T_END))
			break;
		if (token == SQL_BLANK)
			continue;
		trigger = trigger_step(trigger, token, text);
		if (out.p == NULL)
			out.p = text.p;
		last = text.p + text.n;
	}
	if (out.p != NULL)
		out.n = (size_t)(last - out.p);
	return out;
}
