#include "yaml.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <yaml.h>

#define MAX_DEPTH 32

/* ---- writing ---- */

static bool write_value(yaml_emitter_t *w, const json_t *v);

/* Whether the text, written plainly, would be read back as something else. */
static bool ambiguous(const char *s)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL", "true", "false", "yes", "no",
		"on", "off", "True", "False", "TRUE", "FALSE", "Yes", "No", "On", "Off", "y", "n" };
	char *end;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(s, words[i]) == 0)
			return true;
	(void)strtod(s, &end);
	return *end == '\0';
}

static bool write_scalar(yaml_emitter_t *w, const char *text, bool quoted)
{
	yaml_event_t e;

	return yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text),
	    1, 1, quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE) &&
	    yaml_emitter_emit(w, &e);
}

static bool write_other(yaml_emitter_t *w, const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY);
	bool ok = text != NULL && write_scalar(w, text, false);

	free(text);
	return ok;
}

static bool write_object(yaml_emitter_t *w, const json_t *v)
{
	yaml_event_t e;
	const char *key;
	json_t *member;

	if (!yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(w, &e))
		return false;
	json_object_foreach((json_t *)v, key, member)
		if (!write_scalar(w, key, ambiguous(key)) || !write_value(w, member))
			return false;
	return yaml_mapping_end_event_initialize(&e) && yaml_emitter_emit(w, &e);
}

static bool write_array(yaml_emitter_t *w, const json_t *v)
{
	yaml_event_t e;

	if (!yaml_sequence_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(w, &e))
		return false;
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!write_value(w, json_array_get(v, i)))
			return false;
	return yaml_sequence_end_event_initialize(&e) && yaml_emitter_emit(w, &e);
}

static bool write_value(yaml_emitter_t *w, const json_t *v)
{
	if (json_is_object(v))
		return write_object(w, v);
	if (json_is_array(v))
		return write_array(w, v);
	if (json_is_string(v))
		return write_scalar(w, json_string_value(v), ambiguous(json_string_value(v)));
	return write_other(w, v);
}

enum err yaml_write(FILE *out, const json_t *v)
{
	yaml_emitter_t w;
	yaml_event_t e;
	bool ok;

	if (!yaml_emitter_initialize(&w))
		return E_NOMEM;
	yaml_emitter_set_output_file(&w, out);
	yaml_emitter_set_unicode(&w, 1);
	yaml_emitter_set_width(&w, -1);
	ok = yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING) && yaml_emitter_emit(&w, &e) &&
	    yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1) && yaml_emitter_emit(&w, &e) &&
	    write_value(&w, v) &&
	    yaml_document_end_event_initialize(&e, 1) && yaml_emitter_emit(&w, &e) &&
	    yaml_stream_end_event_initialize(&e) && yaml_emitter_emit(&w, &e);
	yaml_emitter_delete(&w);
	return ok ? OK : E_LOCAL;
}

/* ---- reading ---- */

struct reader {
	yaml_document_t doc;
	struct fail *f;
};

static enum err read_node(struct reader *r, int index, int depth, json_t **out);

static enum err bad(struct reader *r, const yaml_node_t *n, const char *what)
{
	return fail_set(r->f, E_BAD_REQUEST, "line %zu: %s", n->start_mark.line + 1, what);
}

/* Plain scalars take JSON's types, as YAML's core schema has them; quoted ones are text. */
static json_t *plain(const char *s)
{
	char *end;
	long long i;
	double d;

	if (*s == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0)
		return json_null();
	if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0)
		return json_boolean(*s == 't');
	if (strspn(s, "+-.0123456789eE") != strlen(s))
		return json_string(s);
	errno = 0;
	i = strtoll(s, &end, 10);
	if (*end == '\0' && errno == 0)
		return json_integer(i);
	d = strtod(s, &end);
	return *end == '\0' ? json_real(d) : json_string(s);
}

static enum err read_object(struct reader *r, const yaml_node_t *n, int depth, json_t *o)
{
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);
		json_t *v = NULL;
		const char *name;
		enum err e;

		if (key == NULL || key->type != YAML_SCALAR_NODE)
			return bad(r, n, "a key must be plain text");
		name = (const char *)key->data.scalar.value;
		if (json_object_get(o, name) != NULL)
			return fail_set(r->f, E_BAD_REQUEST, "line %zu: the key \"%.100s\" was given before",
			    key->start_mark.line + 1, name);
		e = read_node(r, p->value, depth + 1, &v);
		if (e != OK)
			return e;
		if (json_object_set_new(o, name, v) != 0)
			return bad(r, key, "the key is not UTF-8");
	}
	return OK;
}

static enum err read_array(struct reader *r, const yaml_node_t *n, int depth, json_t *a)
{
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
		json_t *v = NULL;
		enum err e = read_node(r, *i, depth + 1, &v);

		if (e != OK)
			return e;
		if (json_array_append_new(a, v) != 0)
			return E_NOMEM;
	}
	return OK;
}

static enum err read_node(struct reader *r, int index, int depth, json_t **out)
{
	const yaml_node_t *n = yaml_document_get_node(&r->doc, index);
	enum err e = OK;

	if (depth > MAX_DEPTH)
		return bad(r, n, "nested too deep");
	if (n->type == YAML_MAPPING_NODE) {
		*out = json_object();
		e = *out != NULL ? read_object(r, n, depth, *out) : E_NOMEM;
	} else if (n->type == YAML_SEQUENCE_NODE) {
		*out = json_array();
		e = *out != NULL ? read_array(r, n, depth, *out) : E_NOMEM;
	} else {
		const char *s = (const char *)n->data.scalar.value;

		*out = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain(s) : json_string(s);
		e = *out != NULL ? OK : bad(r, n, "not UTF-8");
	}
	if (e != OK) {
		json_decref(*out);
		*out = NULL;
	}
	return e;
}

/* The loader resolves aliases, so a small file can stand for a huge one: look for them first. */
static enum err refuse_aliases(struct str text, struct fail *f)
{
	yaml_parser_t p;
	yaml_event_t e;
	enum err err = OK;
	bool last = false;

	if (!yaml_parser_initialize(&p))
		return E_NOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
	while (err == OK && !last) {
		if (!yaml_parser_parse(&p, &e)) {
			err = fail_set(f, E_BAD_REQUEST, "line %zu: not YAML: %s", p.problem_mark.line + 1,
			    p.problem != NULL ? p.problem : "unreadable");
			break;
		}
		if (e.type == YAML_ALIAS_EVENT)
			err = fail_set(f, E_BAD_REQUEST, "line %zu: aliases are not allowed",
			    e.start_mark.line + 1);
		last = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return err;
}

enum err yaml_read(struct str text, json_t **out, struct fail *f)
{
	struct reader r = { .f = f };
	yaml_parser_t p;
	enum err e = refuse_aliases(text, f);

	*out = NULL;
	if (e != OK)
		return e;
	if (!yaml_parser_initialize(&p))
		return E_NOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
	if (!yaml_parser_load(&p, &r.doc)) {
		e = fail_set(f, E_BAD_REQUEST, "not YAML: %s", p.problem != NULL ? p.problem : "unreadable");
	} else {
		e = yaml_document_get_root_node(&r.doc) != NULL ? read_node(&r, 1, 0, out) :
		    fail_set(f, E_BAD_REQUEST, "the file is empty");
		yaml_document_delete(&r.doc);
	}
	yaml_parser_delete(&p);
	return e;
}
