#include "print.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/str.h"
#include "yaml.h"

#define MAX_COLUMNS 16
#define MAX_CELL 65536
#define GAP 2

enum format print_format(const char *name, bool tty)
{
	static const char *const names[] = {
		[FORMAT_TABLE] = "table", [FORMAT_JSON] = "json", [FORMAT_JSONL] = "jsonl",
		[FORMAT_YAML] = "yaml", [FORMAT_NAME] = "name",
	};

	for (int i = 0; name != NULL && i <= FORMAT_NAME; i++)
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return (enum format)i;
	return tty ? FORMAT_TABLE : FORMAT_TSV;
}

/* ---- cells ---- */

/* Text of others: control characters and C1 controls are shown, not sent to the terminal. */
static void add_text(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\t')
			buf_addz(b, "\\t");
		else if (c == '\n')
			buf_addz(b, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\x%02x", c);
		else if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
			buf_printf(b, "\\u%04x", (unsigned char)s.p[++i]);
		else
			buf_addc(b, (char)c);
	}
}

static void add_value(struct buf *b, const json_t *v);

static void add_array(struct buf *b, const json_t *v)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (i > 0)
			buf_addc(b, ',');
		add_value(b, json_array_get(v, i));
	}
}

static void add_compact(struct buf *b, const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text != NULL)
		add_text(b, str_c(text));
	free(text);
}

static void add_value(struct buf *b, const json_t *v)
{
	if (json_is_string(v))
		add_text(b, str_n(json_string_value(v), json_string_length(v)));
	else if (json_is_array(v))
		add_array(b, v);
	else if (v != NULL && !json_is_null(v))
		add_compact(b, v);
}

/* "a.b[].c" of a value. */
static void add_path(struct buf *b, const json_t *v, struct str path)
{
	while (path.n > 0 && v != NULL) {
		struct str rest, step = str_cut(path, '.', &rest);
		bool each = step.n > 2 && step.p[step.n - 2] == '[';

		v = json_object_getn(v, step.p, step.n - (each ? 2 : 0));
		if (each) {
			for (size_t i = 0; i < json_array_size(v); i++) {
				if (i > 0)
					buf_addc(b, ',');
				add_path(b, json_array_get(v, i), rest);
			}
			return;
		}
		path = rest;
	}
	add_value(b, v);
}

/* ---- tables ---- */

static size_t split_columns(const char *columns, struct str out[MAX_COLUMNS])
{
	struct str rest = str_c(columns);
	size_t n = 0;

	while (rest.p != NULL && rest.n > 0 && n < MAX_COLUMNS)
		out[n++] = str_cut(rest, ',', &rest);
	return n;
}

/* Columns that the text takes on a terminal. */
static size_t width(const char *text)
{
	mbstate_t st = { 0 };
	size_t w = 0, k;
	wchar_t c;

	while ((k = mbrtowc(&c, text, strlen(text), &st)) != 0 && k != (size_t)-1 && k != (size_t)-2) {
		w += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
		text += k;
	}
	return w + (k == 0 ? 0 : strlen(text));
}

static const char *cell(struct buf *b, const json_t *row, struct str column)
{
	buf_clear(b);
	add_path(b, row, column);
	return buf_cstr(b) != NULL ? b->p : "";
}

/* "rights[].right" is headed RIGHTS. */
static void heading(struct buf *b, struct str column)
{
	buf_clear(b);
	for (size_t i = 0; i < column.n && column.p[i] != '['; i++)
		buf_addc(b, column.p[i] == '_' || column.p[i] == '.' ? ' ' :
		    (char)toupper((unsigned char)column.p[i]));
	(void)buf_cstr(b);
}

static void put_cell(FILE *out, const char *text, size_t wide, bool last)
{
	size_t w = width(text);

	fputs(text, out);
	if (!last)
		fprintf(out, "%*s", (int)(wide - w + GAP), "");
}

static void print_table(FILE *out, const json_t *rows, const struct str *columns, size_t n,
    struct buf *b)
{
	size_t wide[MAX_COLUMNS];

	for (size_t c = 0; c < n; c++) {
		heading(b, columns[c]);
		wide[c] = b->n;
		for (size_t i = 0; i < json_array_size(rows); i++) {
			size_t w = width(cell(b, json_array_get(rows, i), columns[c]));

			wide[c] = w > wide[c] ? w : wide[c];
		}
	}
	for (size_t c = 0; c < n; c++) {
		heading(b, columns[c]);
		put_cell(out, b->p, wide[c], c + 1 == n);
	}
	fputc('\n', out);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		for (size_t c = 0; c < n; c++)
			put_cell(out, cell(b, json_array_get(rows, i), columns[c]), wide[c], c + 1 == n);
		fputc('\n', out);
	}
}

static void print_lines(FILE *out, const json_t *rows, const struct str *columns, size_t n,
    struct buf *b)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		for (size_t c = 0; c < n; c++)
			fprintf(out, "%s%s", cell(b, json_array_get(rows, i), columns[c]),
			    c + 1 == n ? "\n" : "\t");
	}
}

/* A line a member, for one object; the members of an object in it have lines of their own. */
static void each_member(const json_t *o, const char *prefix, size_t *wide, FILE *out, struct buf *b)
{
	char name[256];
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
		if (json_is_object(v) && json_object_size(v) > 0 && prefix[0] == '\0') {
			each_member(v, name, wide, out, b);
		} else if (out == NULL) {
			*wide = width(name) > *wide ? width(name) : *wide;
		} else {
			put_cell(out, name, *wide, false);
			buf_clear(b);
			add_value(b, v);
			fprintf(out, "%s\n", buf_cstr(b) != NULL ? b->p : "");
		}
	}
}

static void print_members(FILE *out, const json_t *o, struct buf *b)
{
	size_t wide = 0;

	each_member(o, "", &wide, NULL, b); /* measures */
	each_member(o, "", &wide, out, b);
}

/* ---- by format ---- */

static enum err put_json(FILE *out, const json_t *v, size_t flags)
{
	int rc = json_dumpf(v, out, flags | JSON_ENCODE_ANY);

	fputc('\n', out);
	return rc == 0 ? OK : E_NOMEM;
}

static enum err print_rows(const struct print *p, const json_t *rows)
{
	struct str columns[MAX_COLUMNS];
	size_t n = split_columns(p->columns, columns);
	enum err e = OK;
	struct buf b;

	buf_init(&b, MAX_CELL);
	if (p->format == FORMAT_TABLE)
		print_table(p->out, rows, columns, n, &b);
	else if (p->format == FORMAT_TSV)
		print_lines(p->out, rows, columns, n, &b);
	else if (p->format == FORMAT_NAME)
		print_lines(p->out, rows, columns, n > 0 ? 1 : 0, &b);
	else
		for (size_t i = 0; e == OK && i < json_array_size(rows); i++)
			e = put_json(p->out, json_array_get(rows, i), JSON_COMPACT);
	buf_release(&b);
	return e;
}

enum err print_list(const struct print *p, const json_t *rows, const char *next_page_token)
{
	json_t *all;
	enum err e;

	if (p->format != FORMAT_JSON && p->format != FORMAT_YAML)
		return print_rows(p, rows);
	all = json_pack("{sO,ss?}", "items", rows, "next_page_token", next_page_token);
	if (all == NULL)
		return E_NOMEM;
	e = p->format == FORMAT_JSON ? put_json(p->out, all, JSON_INDENT(2)) : yaml_write(p->out, all);
	json_decref(all);
	return e;
}

enum err print_object(const struct print *p, const json_t *o)
{
	json_t *rows;
	struct buf b;
	enum err e;

	if (p->format == FORMAT_JSON)
		return put_json(p->out, o, JSON_INDENT(2));
	if (p->format == FORMAT_YAML)
		return yaml_write(p->out, o);
	if (p->format == FORMAT_TABLE && json_is_object(o)) {
		buf_init(&b, MAX_CELL);
		print_members(p->out, o, &b);
		buf_release(&b);
		return OK;
	}
	rows = json_pack("[O]", o);
	e = rows != NULL ? print_rows(p, rows) : E_NOMEM;
	json_decref(rows);
	return e;
}

/* All of several faults, a line each. */
static void print_faults(FILE *err, const struct fail *f)
{
	char fault[FAIL_FAULT_LEN];
	struct buf b;

	buf_init(&b, MAX_CELL);
	for (size_t i = 0; fail_fault(f, i, fault); i++) {
		buf_clear(&b);
		add_text(&b, str_c(fault));
		fprintf(err, "  %s\n", buf_cstr(&b) != NULL ? b.p : "");
	}
	buf_release(&b);
}

void print_fail(FILE *err, enum format format, const struct fail *f, const char *request_id)
{
	json_t *o;
	struct buf b;

	if (format == FORMAT_JSON || format == FORMAT_JSONL) {
		o = json_pack("{ss,ss,sO,ss?}", "code", err_code(f->err), "error", fail_text(f), "details",
		    f->details != NULL ? f->details : json_null(), "request_id", request_id);
		if (o != NULL && f->details == NULL)
			json_object_set_new(o, "details", json_object());
		if (o != NULL)
			(void)put_json(err, o, JSON_COMPACT);
		json_decref(o);
		return;
	}
	buf_init(&b, MAX_CELL);
	add_text(&b, str_c(fail_text(f)));
	fprintf(err, "gwctl: %s", buf_cstr(&b) != NULL ? b.p : "");
	if (request_id != NULL)
		fprintf(err, " (%s, request %s)", err_code(f->err), request_id);
	fputc('\n', err);
	buf_release(&b);
	print_faults(err, f);
}
