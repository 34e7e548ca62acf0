#include "iam/audit_record.h"

#include <inttypes.h>
#include <jansson.h>
#include <nettle/sha2.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hex.h"

/* ---- the hash ------------------------------------------------------------------------------- */

static void add_u64(struct sha256_ctx *c, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (56 - 8 * i));
	sha256_update(c, sizeof b, b);
}

static void add_str(struct sha256_ctx *c, struct str s)
{
	add_u64(c, s.p == NULL ? UINT64_MAX : s.n);
	sha256_update(c, s.n, (const uint8_t *)s.p);
}

void audit_record_hash(const struct audit_record *r, const unsigned char prev[AUDIT_HASH],
    unsigned char out[AUDIT_HASH])
{
	const struct str fields[] = { r->actor_kind, r->actor_name, r->method, r->action, r->target,
		r->tenant, r->before, r->after, r->outcome, r->request_id, r->trace_id, r->source };
	struct sha256_ctx c;

	sha256_init(&c);
	sha256_update(&c, AUDIT_HASH, prev);
	add_u64(&c, (uint64_t)r->seq);
	add_u64(&c, (uint64_t)(r->at / CLOCK_MS));
	sha256_update(&c, sizeof r->replica.b, r->replica.b);
	add_str(&c, r->has_actor ? str_n((const char *)r->actor.b, sizeof r->actor.b) : STR_NONE);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		add_str(&c, fields[i]);
	sha256_digest(&c, AUDIT_HASH, out);
}

/* ---- as JSON -------------------------------------------------------------------------------- */

static void write_json(struct jsonw *w, const char *key, struct str s)
{
	jsonw_key(w, key);
	if (s.p != NULL)
		jsonw_raw(w, s);
	else
		jsonw_null(w);
}

static void write_hash(struct jsonw *w, const char *key, const unsigned char hash[AUDIT_HASH])
{
	char text[2 * AUDIT_HASH];

	hex_encode(hash, AUDIT_HASH, text);
	jsonw_kstr(w, key, str_n(text, sizeof text));
}

void audit_record_write(struct jsonw *w, const struct audit_record *r,
    const unsigned char prev[AUDIT_HASH], const unsigned char hash[AUDIT_HASH])
{
	jsonw_obj(w);
	jsonw_kint(w, "seq", r->seq);
	jsonw_ktime(w, "at", r->at);
	jsonw_kid(w, "replica", r->replica);
	jsonw_key(w, "actor");
	if (r->has_actor)
		jsonw_id(w, r->actor);
	else
		jsonw_null(w);
	jsonw_kstr(w, "actor_kind", r->actor_kind);
	jsonw_kstr(w, "actor_name", r->actor_name);
	jsonw_kstr(w, "method", r->method);
	jsonw_kstr(w, "action", r->action);
	jsonw_kstr(w, "target", r->target);
	jsonw_kstr(w, "tenant", r->tenant);
	write_json(w, "before", r->before);
	write_json(w, "after", r->after);
	jsonw_kstr(w, "outcome", r->outcome);
	jsonw_kstr(w, "request_id", r->request_id);
	jsonw_kstr(w, "trace_id", r->trace_id);
	jsonw_kstr(w, "source", r->source);
	write_hash(w, "prev_hash", prev);
	write_hash(w, "hash", hash);
	jsonw_obj_end(w);
}

static void remove_secrets(json_t *v)
{
	static const char *const secrets[] = { "secret", "password", "new_password", "current_password",
		"access_token", "refresh_token", "recovery_codes", "otpauth_uri", "qr_svg" };
	const char *name;
	json_t *m;
	size_t i;

	for (i = 0; i < sizeof secrets / sizeof *secrets; i++)
		json_object_del(v, secrets[i]);
	json_object_foreach(v, name, m)
		remove_secrets(m);
	json_array_foreach(v, i, m)
		remove_secrets(m);
}

static struct str canonical(const json_t *v, struct arena *a)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	struct str out = text != NULL ? arena_str(a, str_c(text)) : STR_NONE;

	free(text);
	return out;
}

static struct str summary(struct str text, struct arena *a)
{
	unsigned char hash[AUDIT_HASH];
	char hex[2 * AUDIT_HASH + 1] = "";
	struct sha256_ctx c;
	char *out;

	sha256_init(&c);
	sha256_update(&c, text.n, (const uint8_t *)text.p);
	sha256_digest(&c, AUDIT_HASH, hash);
	hex_encode(hash, AUDIT_HASH, hex);
	out = arena_printf(a, "{\"bytes\":%zu,\"sha256\":\"%s\"}", text.n, hex);
	return out != NULL ? str_c(out) : STR_NONE;
}

struct str audit_json(struct str text, struct arena *a)
{
	json_t *v = text.p != NULL ? json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL) : NULL;
	struct str out = STR_NONE;

	if (v != NULL) {
		remove_secrets(v);
		out = canonical(v, a);
	}
	json_decref(v);
	return out.n > AUDIT_JSON_MAX ? summary(out, a) : out;
}

/* ---- checking ------------------------------------------------------------------------------- */

static struct str str_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : STR_NONE;
}

static struct str json_of(const json_t *o, const char *key, struct arena *a)
{
	const json_t *v = json_object_get(o, key);

	return v == NULL || json_is_null(v) ? STR_NONE : canonical(v, a);
}

static bool hash_of(const json_t *o, const char *key, unsigned char out[AUDIT_HASH])
{
	struct str s = str_of(o, key);

	return s.n == 2 * AUDIT_HASH && hex_decode(s, out);
}

static bool record_of(const json_t *o, struct arena *a, struct audit_record *r)
{
	struct str actor = str_of(o, "actor");

	*r = (struct audit_record){
		.seq = json_integer_value(json_object_get(o, "seq")),
		.has_actor = actor.p != NULL,
		.actor_kind = str_of(o, "actor_kind"), .actor_name = str_of(o, "actor_name"),
		.method = str_of(o, "method"), .action = str_of(o, "action"),
		.target = str_of(o, "target"), .tenant = str_of(o, "tenant"),
		.before = json_of(o, "before", a), .after = json_of(o, "after", a),
		.outcome = str_of(o, "outcome"), .request_id = str_of(o, "request_id"),
		.trace_id = str_of(o, "trace_id"), .source = str_of(o, "source"),
	};
	return r->seq > 0 && clock_parse_rfc3339(str_of(o, "at"), &r->at) &&
	    id_parse(str_of(o, "replica"), &r->replica) && (!r->has_actor || id_parse(actor, &r->actor));
}

/* Whether (seq, prev, hash) stands next to the line before. */
static bool follows(struct audit_verify *v, int64_t seq, const unsigned char prev[AUDIT_HASH],
    const unsigned char hash[AUDIT_HASH])
{
	if (v->lines == 1)
		v->descending = seq < v->seq;
	if (v->lines == 0)
		return true;
	if (v->descending)
		return seq == v->seq - 1 && memcmp(hash, v->prev, AUDIT_HASH) == 0;
	return seq == v->seq + 1 && memcmp(prev, v->hash, AUDIT_HASH) == 0;
}

static enum err check(struct audit_verify *v, const json_t *o, struct arena *a, struct fail *f)
{
	static const unsigned char zeros[AUDIT_HASH];
	unsigned char prev[AUDIT_HASH], hash[AUDIT_HASH], should[AUDIT_HASH];
	struct audit_record r;

	if (!record_of(o, a, &r) || !hash_of(o, "prev_hash", prev) || !hash_of(o, "hash", hash))
		return fail_set(f, E_INVALID_FIELD, "this is no audit record");
	audit_record_hash(&r, prev, should);
	if (memcmp(hash, should, AUDIT_HASH) != 0)
		return fail_set(f, E_INVALID_FIELD, "record %" PRId64 " was changed", r.seq);
	if (!follows(v, r.seq, prev, hash))
		return fail_set(f, E_INVALID_FIELD, "record %" PRId64 " does not follow record %" PRId64,
		    r.seq, v->seq);
	if (r.seq == 1 && memcmp(prev, zeros, AUDIT_HASH) != 0)
		return fail_set(f, E_INVALID_FIELD, "record 1 claims one before it");
	v->seq = r.seq;
	v->lines++;
	memcpy(v->prev, prev, AUDIT_HASH);
	memcpy(v->hash, hash, AUDIT_HASH);
	return OK;
}

enum err audit_verify_line(struct audit_verify *v, struct str line, struct fail *f)
{
	json_t *o = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
	struct arena a;
	enum err e;

	arena_init(&a, 1 << 20);
	e = json_is_object(o) ? check(v, o, &a, f) : fail_set(f, E_INVALID_FIELD, "this is no JSON object");
	arena_release(&a);
	json_decref(o);
	return e;
}
