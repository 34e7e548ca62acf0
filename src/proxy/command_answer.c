/* SubmitCommandResponse as JSON and back (command.h). */
#include "base/jsonw.h"
#include "command.pb-c.h"
#include "proxy/command.h"
#include "proxy/json_scan.h"
#include "proxy/message.h"
#include "proxy/proto_scan.h"

#define MAX_EVENTS 1000

/* ---- to JSON ----------------------------------------------------------------------------------- */

/* The fields of Event, or of the response; views of the message. Later ones win, as protobuf says. */
struct fields {
	struct str s[6]; /* by field number */
	uint64_t version;
};

static bool json_ok(struct str s)
{
	struct json_scan scan = json_scan_of(s);
	struct str raw;

	return str_utf8(s) && json_scan_value(&scan, &raw) && json_scan_end(&scan);
}

static void take(struct fields *to, const struct proto_field *f, uint32_t version)
{
	if (f->number == version && f->type == PROTO_VARINT)
		to->version = f->value;
	else if (f->number < 6 && f->type == PROTO_BYTES)
		to->s[f->number] = f->bytes;
}

static struct str text(struct str s)
{
	return s.p != NULL ? s : STR("");
}

static bool write_event(struct jsonw *w, struct str message)
{
	struct proto_scan s = { .rest = message };
	struct fields e = { 0 };
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		take(&e, &f, 3);
	if (s.bad || (e.s[4].n > 0 && !json_ok(e.s[4])))
		return false;
	jsonw_obj(w);
	jsonw_kstr(w, "event_id", text(e.s[1]));
	jsonw_kstr(w, "event_type", text(e.s[2]));
	jsonw_key(w, "version");
	buf_addu(w->out, e.version);
	w->comma = true;
	jsonw_key(w, "payload");
	jsonw_raw(w, e.s[4].n > 0 ? e.s[4] : STR("null"));
	jsonw_kstr(w, "occurred_at", text(e.s[5]));
	jsonw_obj_end(w);
	return true;
}

static bool write_events(struct jsonw *w, struct str message)
{
	struct proto_scan s = { .rest = message };
	struct proto_field f;

	jsonw_key(w, "events");
	jsonw_arr(w);
	while (proto_scan_next(&s, &f))
		if (f.number == 5 && f.type == PROTO_BYTES && !write_event(w, f.bytes))
			return false;
	jsonw_arr_end(w);
	return true;
}

enum err command_answer_to_json(struct str message, struct buf *out)
{
	struct proto_scan s = { .rest = message };
	struct jsonw w = jsonw_on(out);
	struct fields a = { 0 };
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		take(&a, &f, 4);
	if (s.bad)
		return E_BAD_UPSTREAM;
	jsonw_obj(&w);
	jsonw_kstr(&w, "command_id", text(a.s[1]));
	jsonw_kstr(&w, "aggregate_type", text(a.s[2]));
	jsonw_kstr(&w, "aggregate_id", text(a.s[3]));
	jsonw_key(&w, "version");
	buf_addu(out, a.version);
	w.comma = true;
	if (!write_events(&w, message))
		return E_BAD_UPSTREAM;
	jsonw_obj_end(&w);
	return buf_err(out);
}

/* ---- from JSON --------------------------------------------------------------------------------- */

/* Finds members of an object by name; what is not asked for is passed over. */
static bool find_members(struct str json, const struct str *names, struct str *raw, size_t n)
{
	struct json_scan s = json_scan_of(json);
	enum json_member m;
	bool first = true;
	struct str key, value;

	if (!str_utf8(json) || !json_scan_object(&s))
		return false;
	while ((m = json_scan_member(&s, &first, &key, &value)) == MEMBER_FOUND)
		for (size_t i = 0; i < n; i++)
			if (key.n == names[i].n + 2 && memcmp(key.p + 1, names[i].p, names[i].n) == 0)
				raw[i] = value;
	return m == MEMBER_END && json_scan_end(&s);
}

static bool text_of(struct arena *a, struct str raw, char **out)
{
	*out = raw.p == NULL ? (char *)protobuf_c_empty_string : (char *)json_scan_text(a, raw).p;
	return *out != NULL;
}

static bool event_of(struct arena *a, struct str json, Aggregate__Gateway__V1__Event *e)
{
	static const struct str names[] = { { "event_id", 8 }, { "event_type", 10 }, { "version", 7 },
		{ "payload", 7 }, { "occurred_at", 11 } };
	struct str raw[5] = { 0 };

	aggregate__gateway__v1__event__init(e);
	if (!find_members(json, names, raw, 5))
		return false;
	e->payload.data = (uint8_t *)raw[3].p;
	e->payload.len = raw[3].n;
	return text_of(a, raw[0], &e->event_id) && text_of(a, raw[1], &e->event_type) &&
	    text_of(a, raw[4], &e->occurred_at) &&
	    (raw[2].p == NULL || str_u64(raw[2], UINT64_MAX, &e->version));
}

static bool events_of(struct arena *a, struct str json, Aggregate__Gateway__V1__SubmitCommandResponse *m)
{
	struct json_scan s = json_scan_of(json);
	enum json_member next;
	bool first = true;
	struct str raw;

	if (json.p == NULL)
		return true;
	m->events = arena_alloc(a, MAX_EVENTS * sizeof(*m->events));
	if (m->events == NULL || !json_scan_array(&s))
		return false;
	while ((next = json_scan_element(&s, &first, &raw)) == MEMBER_FOUND) {
		Aggregate__Gateway__V1__Event *e = arena_alloc(a, sizeof *e);

		if (e == NULL || m->n_events == MAX_EVENTS || !event_of(a, raw, e))
			return false;
		m->events[m->n_events++] = e;
	}
	return next == MEMBER_END;
}

enum err command_answer_from_json(struct arena *a, struct str json, struct str *message)
{
	static const struct str names[] = { { "command_id", 10 }, { "aggregate_type", 14 },
		{ "aggregate_id", 12 }, { "version", 7 }, { "events", 6 } };
	Aggregate__Gateway__V1__SubmitCommandResponse m =
	    AGGREGATE__GATEWAY__V1__SUBMIT_COMMAND_RESPONSE__INIT;
	struct str raw[5] = { 0 };

	if (!find_members(json, names, raw, 5) || !text_of(a, raw[0], &m.command_id) ||
	    !text_of(a, raw[1], &m.aggregate_type) || !text_of(a, raw[2], &m.aggregate_id) ||
	    (raw[3].p != NULL && !str_u64(raw[3], UINT64_MAX, &m.version)) || !events_of(a, raw[4], &m))
		return E_BAD_UPSTREAM;
	return message_pack(a, &m.base, message);
}
