#include "mail/template.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "mail/templates_embedded.h"

#define TEMPLATE_MAX (32u << 10) /* bytes of a file */
#define SUFFIX ".txt"

#define KIND(k) (1u << MAIL_##k)
#define ALL ((1u << MAIL__KINDS) - 1)
#define WITH_LINK (KIND(VERIFY) | KIND(RESET))

static const char *const kinds[MAIL__KINDS] = {
	[MAIL_VERIFY] = "verify",
	[MAIL_RESET] = "reset",
	[MAIL_PASSWORD_CHANGED] = "password_changed",
	[MAIL_EMAIL_TAKEN] = "email_taken",
	[MAIL_MFA_REMOVED] = "mfa_removed",
	[MAIL_IDENTITY_LINKED] = "identity_linked",
	[MAIL_IDENTITY_UNLINKED] = "identity_unlinked",
};

enum value { VALUE_LINK, VALUE_EMAIL, VALUE_NAME, VALUE_MINUTES, VALUE_HOURS, VALUE__COUNT };

static const struct {
	const char *name;
	unsigned kinds;    /* that have a value for it */
	unsigned required; /* kinds whose text must have it */
	bool in_subject;   /* may stand there */
} placeholders[VALUE__COUNT] = {
	[VALUE_LINK] = { "link", WITH_LINK, WITH_LINK, false },
	[VALUE_EMAIL] = { "email", ALL, 0, true },
	[VALUE_NAME] = { "name", ALL, 0, true },
	[VALUE_MINUTES] = { "minutes", WITH_LINK, 0, true },
	[VALUE_HOURS] = { "hours", WITH_LINK, 0, true },
};

struct template {
	char *file; /* all of it; the rest points into it */
	struct str subject, text;
};

struct mail_templates {
	struct template kind[MAIL__KINDS];
};

const char *mail_kind_name(enum mail_kind k)
{
	return kinds[k];
}

/* ---- placeholders -------------------------------------------------------------------------- */

enum piece { PIECE_END, PIECE_TEXT, PIECE_VALUE, PIECE_BROKEN };

/* The next piece of *rest: plain text, or the name between "{{" and "}}". */
static enum piece next_piece(struct str *rest, struct str *out)
{
	const char *open = rest->n > 0 ? memmem(rest->p, rest->n, "{{", 2) : NULL;
	const char *end = rest->p + rest->n, *close;

	if (rest->n == 0)
		return PIECE_END;
	if (open != rest->p) {
		*out = str_n(rest->p, (size_t)((open != NULL ? open : end) - rest->p));
		*rest = str_skip(*rest, out->n);
		return PIECE_TEXT;
	}
	close = memmem(open, rest->n, "}}", 2);
	if (close == NULL) {
		*out = *rest;
		return PIECE_BROKEN;
	}
	*out = str_n(open + 2, (size_t)(close - open) - 2);
	*rest = str_skip(*rest, out->n + 4);
	return PIECE_VALUE;
}

static enum value find_value(struct str name)
{
	enum value v = 0;

	while (v < VALUE__COUNT && !str_eqc(name, placeholders[v].name))
		v++;
	return v;
}

/* ---- checks -------------------------------------------------------------------------------- */

/* A file being checked; `place` is what messages call it. */
struct check {
	const char *place;
	enum mail_kind kind;
	struct str all;
	struct fail *f;
};

static int line_of(const struct check *c, const char *at)
{
	int line = 1;

	for (const char *p = c->all.p; p < at; p++)
		line += *p == '\n';
	return line;
}

static enum err fault(const struct check *c, struct str at, const char *what)
{
	size_t n = at.n < 40 ? at.n : 40;

	return fail_set(c->f, E_CONFIG, "%s, line %d: {{%.*s}} %s", c->place, line_of(c, at.p), (int)n,
	    at.p, what);
}

static enum err check_value(const struct check *c, struct str name, bool subject)
{
	enum value v = find_value(name);

	if (v == VALUE__COUNT)
		return fault(c, name, "is no placeholder; there are {{link}} {{email}} {{name}} "
		    "{{minutes}} {{hours}}");
	if (!(placeholders[v].kinds & 1u << c->kind))
		return fault(c, name, "has no value in this kind of mail");
	if (subject && !placeholders[v].in_subject)
		return fault(c, name, "must not be in the subject, which mail servers log");
	return OK;
}

/* *seen gets a bit for each placeholder. */
static enum err check_part(const struct check *c, struct str part, bool subject, unsigned *seen)
{
	struct str piece;
	enum piece p;
	enum err e = OK;

	while (e == OK && (p = next_piece(&part, &piece)) != PIECE_END) {
		if (p == PIECE_BROKEN)
			return fail_set(c->f, E_CONFIG, "%s, line %d: {{ without }}", c->place,
			    line_of(c, piece.p));
		if (p != PIECE_VALUE)
			continue;
		e = check_value(c, piece, subject);
		if (e == OK)
			*seen |= 1u << find_value(piece);
	}
	return e;
}

static enum err check_template(const struct check *c, const struct template *t)
{
	unsigned seen = 0, in_subject = 0;
	enum err e = check_part(c, t->subject, true, &in_subject);

	if (e == OK)
		e = check_part(c, t->text, false, &seen);
	for (enum value v = 0; e == OK && v < VALUE__COUNT; v++)
		if ((placeholders[v].required & 1u << c->kind) && !(seen & 1u << v))
			e = fail_set(c->f, E_CONFIG, "%s: {{%s}} is missing", c->place,
			    placeholders[v].name);
	return e;
}

/* ---- loading ------------------------------------------------------------------------------- */

static enum err parse(struct check *c, struct template *t)
{
	struct str rest, line = str_cut(c->all, '\n', &rest);

	if (!str_utf8(c->all))
		return fail_set(c->f, E_CONFIG, "%s: must be UTF-8 text", c->place);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (!str_starts(line, STR("Subject:")) || str_trim(str_skip(line, 8)).n == 0)
		return fail_set(c->f, E_CONFIG, "%s: the first line must be 'Subject: ...'", c->place);
	t->subject = str_trim(str_skip(line, 8));
	if (str_starts(rest, STR("\r\n")))
		rest = str_skip(rest, 2);
	else if (str_starts(rest, STR("\n")))
		rest = str_skip(rest, 1);
	t->text = rest.n > 0 ? rest : STR("");
	return check_template(c, t);
}

/* *out is NULL when there is no such file. */
static enum err read_file(const char *path, char **out, size_t *n, struct fail *f)
{
	FILE *file = fopen(path, "re");
	enum err e = OK;

	*out = NULL;
	if (file == NULL && errno == ENOENT)
		return OK;
	if (file == NULL)
		return fail_set(f, E_CONFIG, "%s: %s", path, strerror(errno));
	*out = heap_alloc(TEMPLATE_MAX + 1);
	if (*out == NULL) {
		e = fail_set(f, E_NOMEM, "no memory for a template");
	} else {
		*n = fread(*out, 1, TEMPLATE_MAX + 1, file);
		if (ferror(file))
			e = fail_set(f, E_CONFIG, "%s: cannot be read", path);
		else if (*n > TEMPLATE_MAX)
			e = fail_set(f, E_CONFIG, "%s: longer than %u bytes", path, TEMPLATE_MAX);
	}
	fclose(file);
	return e;
}

static enum err load_file(const char *dir, enum mail_kind k, struct template *t, struct fail *f)
{
	char path[4096];
	struct check c = { .place = path, .kind = k, .f = f };
	enum err e;

	if (snprintf(path, sizeof path, "%s/%s" SUFFIX, dir, kinds[k]) >= (int)sizeof path)
		return fail_set(f, E_CONFIG, "mail.templates: the path is too long");
	e = read_file(path, &t->file, &c.all.n, f);
	c.all.p = t->file;
	return e == OK && t->file != NULL ? parse(&c, t) : e;
}

static enum err load_built_in(enum mail_kind k, struct template *t, struct fail *f)
{
	const struct template_text *b = mail_templates_embedded;
	struct check c = { .place = "built-in template", .kind = k, .f = f };

	while (b->kind != NULL && strcmp(b->kind, kinds[k]) != 0)
		b++;
	if (b->kind == NULL)
		return fail_set(f, E_INTERNAL, "no template for mail of the kind %s is built in", kinds[k]);
	c.all = str_n(b->text, b->len);
	return parse(&c, t);
}

static bool is_kind_file(const char *name)
{
	struct str s = str_c(name);

	for (int k = 0; k < MAIL__KINDS; k++)
		if (str_starts(s, str_c(kinds[k])) && str_eqc(str_skip(s, strlen(kinds[k])), SUFFIX))
			return true;
	return false;
}

static enum err no_such_kind(const char *dir, const char *name, struct fail *f)
{
	struct buf all;

	buf_init(&all, 1024);
	for (int k = 0; k < MAIL__KINDS; k++)
		buf_printf(&all, "%s%s", k > 0 ? ", " : "", kinds[k]);
	fail_set(f, E_CONFIG, "mail.templates: %s/%s: there is no such kind of mail; there are %.*s", dir,
	    name, STR_ARG(buf_str(&all)));
	buf_release(&all);
	return E_CONFIG;
}

/* A file whose name was mistyped would be ignored silently. */
static enum err check_names(const char *dir, struct fail *f)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	enum err e = OK;

	if (d == NULL)
		return fail_set(f, E_CONFIG, "mail.templates: %s: %s", dir, strerror(errno));
	while (e == OK && (entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || n < 4 || strcmp(entry->d_name + n - 4, SUFFIX) != 0)
			continue;
		if (!is_kind_file(entry->d_name))
			e = no_such_kind(dir, entry->d_name, f);
	}
	closedir(d);
	return e;
}

enum err mail_templates_load(const char *dir, struct mail_templates **out, struct fail *f)
{
	struct mail_templates *t = heap_zalloc(sizeof *t);
	enum err e = OK;

	if (t == NULL)
		return fail_set(f, E_NOMEM, "no memory for templates");
	if (dir != NULL)
		e = check_names(dir, f);
	for (enum mail_kind k = 0; e == OK && k < MAIL__KINDS; k++) {
		if (dir != NULL)
			e = load_file(dir, k, &t->kind[k], f);
		if (e == OK && t->kind[k].file == NULL)
			e = load_built_in(k, &t->kind[k], f);
	}
	if (e != OK) {
		mail_templates_free(t);
		return e;
	}
	*out = t;
	return OK;
}

void mail_templates_free(struct mail_templates *t)
{
	if (t == NULL)
		return;
	for (enum mail_kind k = 0; k < MAIL__KINDS; k++)
		heap_free(t->kind[k].file);
	heap_free(t);
}

/* ---- rendering ----------------------------------------------------------------------------- */

static void add_clean(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;

		i += c1;
		buf_addc(out, c < ' ' || c == 0x7f || c1 ? ' ' : (char)c);
	}
}

static void add_value(enum value v, const struct mail_values *values, struct buf *out)
{
	int64_t minutes = values->valid_us / (60 * CLOCK_SEC);

	switch (v) {
	case VALUE_LINK:
		add_clean(values->link, out);
		break;
	case VALUE_EMAIL:
		add_clean(values->email, out);
		break;
	case VALUE_NAME:
		add_clean(values->name.n > 0 ? values->name : values->email, out);
		break;
	case VALUE_MINUTES:
		buf_addu(out, (uint64_t)minutes);
		break;
	case VALUE_HOURS:
		buf_addu(out, (uint64_t)minutes / 60);
		break;
	case VALUE__COUNT:
		break;
	}
}

static void render(struct str part, const struct mail_values *values, struct buf *out)
{
	struct str piece;
	enum piece p;

	while ((p = next_piece(&part, &piece)) != PIECE_END) {
		if (p == PIECE_VALUE)
			add_value(find_value(piece), values, out);
		else
			buf_adds(out, piece);
	}
}

enum err mail_template_render(const struct mail_templates *t, enum mail_kind k,
    const struct mail_values *v, struct buf *subject, struct buf *text)
{
	render(t->kind[k].subject, v, subject);
	render(t->kind[k].text, v, text);
	return subject->failed ? buf_err(subject) : buf_err(text);
}
