#include "base/config_yaml.h"

#include <yaml.h>

#include "base/buf.h"
#include "base/config_value.h"
#include "base/heap.h"

#define MAX_DEPTH 8
#define MAX_KEYS 512

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one; replaced by next() */
	const struct config_sink *sink;
	struct config_issuers *issuers;
	int *issuers_line;
	char *seen[MAX_KEYS]; /* dotted keys met so far */
	size_t nseen;
};

static int line_of(const struct reader *r)
{
	return (int)r->event.start_mark.line + 1;
}

static struct str scalar(const struct reader *r)
{
	return str_n((const char *)r->event.data.scalar.value, r->event.data.scalar.length);
}

/* Anchors, aliases and tags make a file say something else than it shows. */
static bool refused(struct reader *r)
{
	const yaml_event_t *e = &r->event;
	const void *anchor = NULL, *tag = NULL;

	if (e->type == YAML_SCALAR_EVENT) {
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
	}
	if (e->type != YAML_ALIAS_EVENT && anchor == NULL && tag == NULL)
		return false;
	r->sink->fault(r->sink->ctx, line_of(r), "anchors, aliases and tags are not allowed");
	return true;
}

static enum err next(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (!yaml_parser_parse(&r->parser, &r->event)) {
		memset(&r->event, 0, sizeof r->event);
		if (r->parser.error == YAML_MEMORY_ERROR)
			return E_NOMEM;
		r->sink->fault(r->sink->ctx, (int)r->parser.problem_mark.line + 1, "not YAML: %s",
		    r->parser.problem != NULL ? r->parser.problem : "unreadable");
		return E_CONFIG;
	}
	return refused(r) ? E_CONFIG : OK;
}

/* Skips the node whose first event is the current one. */
static enum err skip(struct reader *r)
{
	int depth = 0;
	enum err e = OK;

	for (;;) {
		yaml_event_type_t t = r->event.type;

		if (t == YAML_MAPPING_START_EVENT || t == YAML_SEQUENCE_START_EVENT)
			depth++;
		else if (t == YAML_MAPPING_END_EVENT || t == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (depth == 0)
			return OK;
		e = next(r);
		if (e != OK)
			return e;
	}
}

/* Whether the key is new; a repeated one is a fault. */
static enum err remember(struct reader *r, struct str key, bool *again)
{
	*again = false;
	for (size_t i = 0; i < r->nseen; i++) {
		if (!str_eqc(key, r->seen[i]))
			continue;
		r->sink->fault(r->sink->ctx, line_of(r), "%.*s: given twice", STR_ARG(key));
		*again = true;
		return OK;
	}
	if (r->nseen == MAX_KEYS) {
		r->sink->fault(r->sink->ctx, line_of(r), "more than %d keys", MAX_KEYS);
		return E_CONFIG;
	}
	r->seen[r->nseen] = NULL;
	return config_text_set(&r->seen[r->nseen++], key);
}

static bool no_value(const struct reader *r)
{
	struct str s = scalar(r);

	return r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (s.n == 0 || str_eqc(s, "~") || str_eqc(s, "null"));
}

/* ---- issuers ---- */

static enum err read_algs(struct reader *r, struct config_list *algs)
{
	static const char *const known[] = { "RS256", "PS256", "ES256", "EdDSA" };
	enum err e = OK;

	if (r->event.type != YAML_SEQUENCE_START_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "issuers: algs must be a list");
		return skip(r);
	}
	while (e == OK && (e = next(r)) == OK && r->event.type == YAML_SCALAR_EVENT) {
		size_t i = 0;

		while (i < 4 && !str_eqc(scalar(r), known[i]))
			i++;
		if (i == 4)
			r->sink->fault(r->sink->ctx, line_of(r), "issuers: \"%.*s\" must be RS256, "
			    "PS256, ES256 or EdDSA", STR_ARG(scalar(r)));
		e = config_list_add(algs, scalar(r));
	}
	if (e == OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "issuers: algs must be a list of names");
		return E_CONFIG;
	}
	return e;
}

static enum err read_issuer_field(struct reader *r, struct config_issuer *i, struct str name,
    int line)
{
	const struct {
		const char *name;
		char **at;
		bool required; /* told in finish_issuer */
	} fields[] = {
		{ "issuer", &i->issuer, true }, { "audience", &i->audience, true }, { "jwks", &i->jwks, false },
		{ "subject_claim", &i->subject_claim, false }, { "scope_claim", &i->scope_claim, false },
	};

	if (str_eqc(name, "algs"))
		return read_algs(r, &i->algs);
	for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
		if (!str_eqc(name, fields[k].name))
			continue;
		if (r->event.type == YAML_SCALAR_EVENT && scalar(r).n == 0 && !fields[k].required) {
			r->sink->fault(r->sink->ctx, line, "issuers: %s must not be empty", fields[k].name);
			return OK;
		}
		if (r->event.type == YAML_SCALAR_EVENT && *fields[k].at == NULL)
			return config_text_set(fields[k].at, scalar(r));
		r->sink->fault(r->sink->ctx, line, "issuers: %s must be one text, given once",
		    fields[k].name);
		return skip(r);
	}
	r->sink->fault(r->sink->ctx, line, "issuers: %.*s: unknown; allowed are issuer, audience, jwks, "
	    "subject_claim, scope_claim and algs", STR_ARG(name));
	return skip(r);
}

static enum err finish_issuer(struct reader *r, struct config_issuer *i, int line)
{
	enum err e = OK;

	if (i->issuer == NULL || i->audience == NULL)
		r->sink->fault(r->sink->ctx, line, "issuers: issuer and audience are required");
	if (i->subject_claim == NULL)
		e = config_text_set(&i->subject_claim, STR("sub"));
	if (e == OK && i->scope_claim == NULL)
		e = config_text_set(&i->scope_claim, STR("scope"));
	if (e != OK || i->algs.n > 0)
		return e;
	e = config_list_add(&i->algs, STR("ES256"));
	return e == OK ? config_list_add(&i->algs, STR("RS256")) : e;
}

/* One map; the current event is its start. */
static enum err read_issuer(struct reader *r, struct config_issuer *i)
{
	int line = line_of(r);
	enum err e = OK;

	while (e == OK && (e = next(r)) == OK && r->event.type == YAML_SCALAR_EVENT) {
		char *name = NULL;

		e = config_text_set(&name, scalar(r));
		line = line_of(r);
		if (e == OK)
			e = next(r);
		if (e == OK)
			e = read_issuer_field(r, i, str_c(name), line);
		heap_free(name);
	}
	return e == OK ? finish_issuer(r, i, line) : e;
}

static enum err read_issuers(struct reader *r)
{
	enum err e = OK;

	*r->issuers_line = line_of(r);
	if (r->event.type != YAML_SEQUENCE_START_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "issuers: must be a list of maps");
		return skip(r);
	}
	while (e == OK && (e = next(r)) == OK && r->event.type == YAML_MAPPING_START_EVENT) {
		struct config_issuers *l = r->issuers;
		struct config_issuer *v = heap_realloc(l->v, (l->n + 1) * sizeof *v);

		if (v == NULL)
			return E_NOMEM;
		l->v = v;
		l->v[l->n] = (struct config_issuer){ 0 };
		e = read_issuer(r, &l->v[l->n++]);
	}
	if (e == OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "issuers: must be a list of maps");
		e = E_CONFIG;
	}
	return e;
}

/* ---- the map ---- */

static enum err read_sequence(struct reader *r, struct str key)
{
	size_t nth = 0;
	enum err e;

	r->sink->value(r->sink->ctx, line_of(r), key, STR_NONE, SIZE_MAX);
	while ((e = next(r)) == OK && r->event.type == YAML_SCALAR_EVENT)
		r->sink->value(r->sink->ctx, line_of(r), key, scalar(r), ++nth);
	if (e == OK && r->event.type != YAML_SEQUENCE_END_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "%.*s: must be a list of plain values",
		    STR_ARG(key));
		e = E_CONFIG;
	}
	return e;
}

static enum err read_map(struct reader *r, struct buf *path, int depth);

/* The value of the key in `path`; the current event is its first. */
static enum err read_value(struct reader *r, struct buf *path, int depth)
{
	struct str key = buf_str(path);
	bool again;
	enum err e;

	if (r->event.type == YAML_MAPPING_START_EVENT && !str_eqc(key, "issuers"))
		return read_map(r, path, depth + 1);
	e = remember(r, key, &again);
	if (e != OK || again)
		return e == OK ? skip(r) : e;
	if (str_eqc(key, "issuers"))
		return read_issuers(r);
	if (r->event.type == YAML_SEQUENCE_START_EVENT)
		return read_sequence(r, key);
	if (no_value(r))
		r->sink->fault(r->sink->ctx, line_of(r), "%.*s: has no value", STR_ARG(key));
	else
		r->sink->value(r->sink->ctx, line_of(r), key, scalar(r), 0);
	return OK;
}

/* The current event is the start of the map; afterwards it is its end. */
static enum err read_map(struct reader *r, struct buf *path, int depth)
{
	size_t len = path->n;
	enum err e = OK;

	if (depth > MAX_DEPTH) {
		r->sink->fault(r->sink->ctx, line_of(r), "maps are nested too deep");
		return E_CONFIG;
	}
	while (e == OK && (e = next(r)) == OK && r->event.type == YAML_SCALAR_EVENT) {
		if (len > 0)
			buf_addc(path, '.');
		buf_adds(path, scalar(r));
		if (buf_err(path) == E_NOMEM)
			return E_NOMEM;
		if (path->failed) {
			r->sink->fault(r->sink->ctx, line_of(r), "the key is too long");
			return E_CONFIG;
		}
		e = next(r);
		if (e == OK)
			e = read_value(r, path, depth);
		path->n = len;
	}
	if (e == OK && r->event.type != YAML_MAPPING_END_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "a key must be plain text");
		e = E_CONFIG;
	}
	return e;
}

/* Goes to the first event of the document's content; YAML_STREAM_END_EVENT when there is none. */
static enum err begin(struct reader *r, struct str text)
{
	enum err e;

	if (!yaml_parser_initialize(&r->parser))
		return E_NOMEM;
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.p, text.n);
	e = next(r); /* stream start */
	if (e == OK)
		e = next(r); /* document start, or the stream's end */
	if (e == OK && r->event.type == YAML_DOCUMENT_START_EVENT)
		e = next(r);
	return e;
}

/* After the content: nothing but the end. */
static enum err end(struct reader *r)
{
	enum err e = next(r);

	if (e == OK)
		e = next(r);
	if (e == OK && r->event.type != YAML_STREAM_END_EVENT) {
		r->sink->fault(r->sink->ctx, line_of(r), "only one document is allowed");
		e = E_CONFIG;
	}
	return e;
}

static void release(struct reader *r)
{
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
	for (size_t i = 0; i < r->nseen; i++)
		heap_free(r->seen[i]);
}

enum err config_yaml_parse(struct str text, const struct config_sink *sink,
    struct config_issuers *issuers, int *issuers_line)
{
	struct reader r = { .sink = sink, .issuers = issuers, .issuers_line = issuers_line };
	struct buf path;
	enum err e;

	buf_init(&path, 256);
	e = begin(&r, text);
	if (e == OK && r.event.type == YAML_MAPPING_START_EVENT) {
		e = read_map(&r, &path, 0);
		if (e == OK)
			e = end(&r);
	} else if (e == OK && r.event.type != YAML_STREAM_END_EVENT &&
	    !(r.event.type == YAML_SCALAR_EVENT && no_value(&r))) {
		sink->fault(sink->ctx, line_of(&r), "must be a map of keys");
		e = E_CONFIG;
	}
	buf_release(&path);
	release(&r);
	return e == E_NOMEM ? e : OK;
}

enum err config_yaml_issuers(struct str text, const struct config_sink *sink,
    struct config_issuers *issuers)
{
	int line = 0;
	struct reader r = { .sink = sink, .issuers = issuers, .issuers_line = &line };
	enum err e = begin(&r, text);

	if (e == OK)
		e = read_issuers(&r);
	if (e == OK)
		e = end(&r);
	release(&r);
	return e == E_NOMEM ? e : OK;
}
