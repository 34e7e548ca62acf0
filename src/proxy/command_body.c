#include "proxy/command_body.h"

#include "proxy/json_scan.h"

#define MAX_TYPE 256     /* bytes of command_type */
#define MAX_METADATA 4096 /* bytes of one key or value */

bool command_id_ok(struct str id)
{
	if (id.n < 1 || id.n > 128)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] < 0x21 || id.p[i] > 0x7e)
			return false;
	return true;
}

/* ---- members ----------------------------------------------------------------------------------- */

struct reading {
	struct arena *arena;
	struct command_body *c;
	struct fail *f;
};

static enum err read_id(struct reading *rd, struct str raw)
{
	if (str_eq(raw, STR("null"))) {
		rd->c->null_id = raw;
		return OK;
	}
	rd->c->command_id = json_scan_text(rd->arena, raw);
	if (!command_id_ok(rd->c->command_id))
		return fail_set(rd->f, E_INVALID_FIELD,
		    "command_id must be a string of 1 to 128 visible ASCII characters");
	return OK;
}

static enum err read_type(struct reading *rd, struct str raw)
{
	struct str t = json_scan_text(rd->arena, raw);

	if (t.n < 1 || t.n > MAX_TYPE)
		return fail_set(rd->f, E_INVALID_FIELD, "command_type must be a string of 1 to %d bytes",
		    MAX_TYPE);
	rd->c->command_type = t;
	return OK;
}

static enum err read_payload(struct reading *rd, struct str raw)
{
	rd->c->payload = raw;
	return OK;
}

static enum err read_version(struct reading *rd, struct str raw)
{
	if (str_eq(raw, STR("null")))
		return OK;
	if (!str_u64(raw, UINT64_MAX, &rd->c->expected_version))
		return fail_set(rd->f, E_INVALID_FIELD, "expected_version must be an integer of 64 bits, not negative");
	rd->c->has_expected_version = true;
	return OK;
}

static enum err add_metadata(struct reading *rd, struct str key, struct str raw)
{
	struct header *h = &rd->c->metadata[rd->c->nmetadata];

	if (rd->c->nmetadata == COMMAND_METADATA)
		return fail_set(rd->f, E_INVALID_FIELD, "metadata has more than %d entries", COMMAND_METADATA);
	h->name = json_scan_text(rd->arena, key);
	h->value = json_scan_text(rd->arena, raw);
	if (h->name.n == 0 || h->value.p == NULL || h->name.n > MAX_METADATA || h->value.n > MAX_METADATA)
		return fail_set(rd->f, E_INVALID_FIELD, "metadata must map names to strings, of %d bytes at most",
		    MAX_METADATA);
	for (size_t i = 0; i < rd->c->nmetadata; i++)
		if (str_eq(rd->c->metadata[i].name, h->name))
			return fail_set(rd->f, E_BAD_JSON, "metadata names \"%.*s\" twice", STR_ARG(h->name));
	rd->c->nmetadata++;
	return OK;
}

static enum err read_metadata(struct reading *rd, struct str raw)
{
	struct json_scan s = json_scan_of(raw);
	enum err e = OK;
	bool first = true;
	struct str key, value;

	if (str_eq(raw, STR("null")))
		return OK;
	if (!json_scan_object(&s))
		return fail_set(rd->f, E_INVALID_FIELD, "metadata must be an object");
	while (e == OK && json_scan_member(&s, &first, &key, &value) == MEMBER_FOUND)
		e = add_metadata(rd, key, value);
	return e;
}

static const struct member {
	struct str name;
	enum err (*read)(struct reading *rd, struct str raw);
} members[] = {
	{ { "command_id", 10 }, read_id },
	{ { "command_type", 12 }, read_type },
	{ { "payload", 7 }, read_payload },
	{ { "expected_version", 16 }, read_version },
	{ { "metadata", 8 }, read_metadata },
};
#define MEMBERS (sizeof members / sizeof *members)

static enum err read_member(struct reading *rd, struct str raw_key, struct str raw, unsigned *seen)
{
	struct str key = json_scan_text(rd->arena, raw_key);

	for (size_t i = 0; i < MEMBERS; i++) {
		if (key.p == NULL || !str_eq(key, members[i].name))
			continue;
		if (*seen >> i & 1)
			return fail_set(rd->f, E_BAD_JSON, "\"%.*s\" is given twice", STR_ARG(key));
		*seen |= 1u << i;
		return members[i].read(rd, raw);
	}
	return fail_set(rd->f, E_UNKNOWN_FIELD, "unknown field %.*s", (int)(raw_key.n < 100 ? raw_key.n : 100),
	    raw_key.p);
}

/* ---- the whole --------------------------------------------------------------------------------- */

static enum err read_members(struct reading *rd, struct json_scan *s)
{
	enum json_member m;
	enum err e = OK;
	bool first = true;
	unsigned seen = 0;
	struct str key, raw;

	while ((m = json_scan_member(s, &first, &key, &raw)) == MEMBER_FOUND) {
		rd->c->has_members = true;
		if (e == OK) /* goes on after a wrong field: broken JSON is said first */
			e = read_member(rd, key, raw, &seen);
	}
	if (m == MEMBER_BAD || !json_scan_end(s))
		return json_scan_fail(s, rd->f);
	return e;
}

enum err command_body_read(struct arena *a, struct str text, struct command_body *c, struct fail *f)
{
	struct reading rd = { a, c, f };
	struct json_scan s = json_scan_of(text);
	struct str ignored;
	enum err e;

	memset(c, 0, offsetof(struct command_body, metadata));
	c->nmetadata = 0;
	c->has_members = false;
	c->text = text;
	if (!str_utf8(text))
		return fail_set(f, E_BAD_JSON, "the body is not UTF-8");
	if (!json_scan_object(&s)) {
		s.fault = NULL;
		if (!json_scan_value(&s, &ignored) || !json_scan_end(&s))
			return json_scan_fail(&s, f);
		return fail_set(f, E_INVALID_FIELD, "the body must be an object");
	}
	c->members_at = s.at;
	e = read_members(&rd, &s);
	if (e == OK && c->command_type.p == NULL)
		e = fail_set(f, E_INVALID_FIELD, "command_type is required");
	if (e == OK && c->payload.p == NULL)
		e = fail_set(f, E_INVALID_FIELD, "payload is required");
	return e;
}

struct str command_body_with_id(struct arena *a, const struct command_body *c, struct str id)
{
	bool null = c->null_id.p != NULL;
	struct str name = null ? STR("") : STR("\"command_id\":");
	size_t at = null ? (size_t)(c->null_id.p - c->text.p) : c->members_at;
	size_t on = at + c->null_id.n;
	char *p = arena_alloc(a, c->text.n + name.n + id.n + 3), *o = p;

	if (p == NULL)
		return STR_NONE;
	o = mempcpy(o, c->text.p, at);
	o = mempcpy(o, name.p, name.n);
	*o++ = '"';
	o = mempcpy(o, id.p, id.n);
	*o++ = '"';
	if (!null && c->has_members)
		*o++ = ',';
	o = mempcpy(o, c->text.p + on, c->text.n - on);
	return str_n(p, (size_t)(o - p));
}
