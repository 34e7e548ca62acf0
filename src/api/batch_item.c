#include "api/batch_item.h"

#include "proxy/json_scan.h"
#include "request/request.h"

#define MAX_NAME 2048 /* bytes of a path parameter */

/* ---- an item ------------------------------------------------------------------------------------ */

/* A member of an item that stands in the path of the single operation. */
struct named {
	const char *name;
	int param;
};

/* What a path could name. */
static bool name_ok(struct str s)
{
	return s.n >= 1 && s.n <= MAX_NAME && !str_eq(s, STR(".")) && !str_eq(s, STR(".."));
}

static enum err read_name(struct request *part, const struct named *n, struct str raw, struct fail *f)
{
	struct str *to = &part->param[n->param];

	if (to->p != NULL)
		return fail_set(f, E_BAD_JSON, "\"%s\" is given twice", n->name);
	*to = json_scan_text(&part->arena, raw);
	if (!name_ok(*to))
		return fail_set(f, E_INVALID_FIELD, "%s must be a string of 1 to %d bytes, and not of dots",
		    n->name, MAX_NAME);
	return OK;
}

static const struct named *find(const struct named *names, struct str key)
{
	while (names->name != NULL && !str_eqc(key, names->name))
		names++;
	return names->name != NULL ? names : NULL;
}

/* Every member is one of `names` or goes to `other`. */
static enum err read_members(struct request *part, struct str raw, const struct named *names,
    enum err (*other)(struct request *part, struct str key, struct str raw_key, struct str value,
    struct fail *f), struct fail *f)
{
	struct json_scan s = json_scan_of(raw);
	struct str raw_key, value;
	bool first = true;
	enum err e = OK;

	if (!json_scan_object(&s))
		return fail_set(f, E_INVALID_FIELD, "an item must be an object");
	while (e == OK && json_scan_member(&s, &first, &raw_key, &value) == MEMBER_FOUND) {
		struct str key = json_scan_text(&part->arena, raw_key);
		const struct named *n = key.p != NULL ? find(names, key) : NULL;

		e = n != NULL ? read_name(part, n, value, f) : other(part, key, raw_key, value, f);
	}
	for (; e == OK && names->name != NULL; names++)
		if (part->param[names->param].p == NULL)
			e = fail_set(f, E_INVALID_FIELD, "%s is required", names->name);
	return e;
}

/* The members of a command's body: proxy_command knows them. */
static enum err keep(struct request *part, struct str key, struct str raw_key, struct str value,
    struct fail *f)
{
	struct buf *body = &part->body;

	(void)key;
	(void)f;
	buf_addc(body, body->n > 0 ? ',' : '{');
	buf_adds(body, raw_key);
	buf_addc(body, ':');
	buf_adds(body, value);
	return buf_err(body);
}

enum err batch_command_read(struct request *part, struct str raw, struct fail *f)
{
	static const struct named names[] = { { "aggregate_type", 0 }, { "aggregate_id", 1 }, { NULL } };
	enum err e = read_members(part, raw, names, keep, f);

	if (e != OK)
		return e;
	if (part->body.n == 0)
		buf_addc(&part->body, '{');
	buf_addc(&part->body, '}');
	return buf_err(&part->body);
}

static enum err keep_query(struct request *part, struct str key, struct str raw_key, struct str value,
    struct fail *f)
{
	if (!str_eq(key, STR("query")))
		return fail_set(f, E_UNKNOWN_FIELD, "unknown field %.*s",
		    (int)(raw_key.n < 100 ? raw_key.n : 100), raw_key.p);
	if (part->body.n > 0)
		return fail_set(f, E_BAD_JSON, "\"query\" is given twice");
	return buf_adds(&part->body, value);
}

enum err batch_query_read(struct request *part, struct str raw, struct fail *f)
{
	static const struct named names[] = { { "view_type", 0 }, { NULL } };
	enum err e = read_members(part, raw, names, keep_query, f);

	return e != OK || part->body.n > 0 ? e : buf_adds(&part->body, STR("{}"));
}

/* ---- a result ----------------------------------------------------------------------------------- */

static bool is_json(struct str s)
{
	struct json_scan scan = json_scan_of(s);
	struct str raw;

	return str_utf8(s) && json_scan_value(&scan, &raw) && json_scan_end(&scan);
}

/* Whether the answer can stand in the results; else it becomes an error. */
static void judge(struct request *part, size_t *room)
{
	struct fail f = { 0 };
	struct str body = part->reply.body;

	if (part->reply.err != OK)
		return;
	if (body.n > *room)
		f.err = E_ANSWER_TOO_LARGE;
	else if (body.n > 0 && !is_json(body))
		f.err = E_BAD_UPSTREAM;
	if (f.err != OK)
		reply_set_fail(part, &f);
	else
		*room -= body.n;
}

enum err batch_result_write(struct request *part, size_t *room, struct buf *out)
{
	struct reply *reply = &part->reply;

	judge(part, room);
	buf_clear(out);
	buf_addz(out, "{\"status\":");
	buf_addu(out, (uint64_t)reply->status);
	buf_addc(out, ',');
	if (reply->err != OK) { /* the envelope, from behind its brace */
		buf_adds(out, str_skip(buf_str(&reply->buf), 1));
		return buf_err(out);
	}
	buf_addz(out, "\"body\":");
	buf_adds(out, reply->body.n > 0 ? reply->body : STR("null"));
	buf_addc(out, '}');
	return buf_err(out);
}
