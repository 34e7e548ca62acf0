#include "api/batch.h"

#include "api/api.h"
#include "api/batch_item.h"
#include "api/handlers.h"
#include "base/heap.h"
#include "proxy/json_scan.h"

struct batch_kind {
	const char *op; /* what an item is a request of */
	enum err (*read)(struct request *part, struct str raw, struct fail *f);
};

/* A place for an item that is under way; used again for the next one. */
struct part {
	struct request r;
	struct batch *batch;
	struct part *next; /* idle ones */
	size_t item;       /* index */
	bool busy;
};

struct batch {
	struct api *api;
	struct request *r; /* the batch itself */
	const struct batch_kind *kind;
	const struct op *op;
	struct str items[BATCH_ITEMS];   /* raw, views of r->body */
	struct buf results[BATCH_ITEMS];
	size_t n, begun, under_way;
	size_t room;  /* for node answers */
	bool pumping; /* somebody above us in the stack does it */
	bool gone;    /* the client is: nothing more is begun */
	enum err err;
	size_t nparts;
	struct part *idle;
	struct part parts[BATCH_AT_ONCE];
};

/* ---- reading ------------------------------------------------------------------------------------ */

static enum err read_items(struct batch *b, struct str raw, struct fail *f)
{
	struct json_scan s = json_scan_of(raw);
	bool first = true;
	struct str item;

	if (!json_scan_array(&s))
		return fail_set(f, E_INVALID_FIELD, "items must be an array");
	while (json_scan_element(&s, &first, &item) == MEMBER_FOUND) {
		if (b->n == BATCH_ITEMS)
			return fail_set(f, E_INVALID_FIELD, "items has more than %d elements", BATCH_ITEMS);
		b->items[b->n++] = item;
	}
	return OK;
}

/* The whole text is scanned before anything else is said of it. */
static enum err find_items(struct json_scan *s, struct str *items, struct fail *f)
{
	struct str key, value;
	enum json_member m;
	bool first = true;
	enum err e = OK;

	if (!str_utf8(s->text))
		return fail_set(f, E_BAD_JSON, "the body is not UTF-8");
	if (!json_scan_object(s))
		return json_scan_fail(s, f);
	while ((m = json_scan_member(s, &first, &key, &value)) == MEMBER_FOUND) {
		if (e != OK)
			continue;
		if (!str_eq(key, STR("\"items\"")))
			e = fail_set(f, E_UNKNOWN_FIELD, "unknown field %.*s",
			    (int)(key.n < 100 ? key.n : 100), key.p);
		else if (items->p != NULL)
			e = fail_set(f, E_BAD_JSON, "\"items\" is given twice");
		else
			*items = value;
	}
	if (m == MEMBER_BAD || !json_scan_end(s))
		return json_scan_fail(s, f);
	return e;
}

static enum err read_body(struct batch *b, struct fail *f)
{
	struct json_scan s = json_scan_of(buf_str(&b->r->body));
	struct str items = STR_NONE;
	enum err e = find_items(&s, &items, f);

	if (e == OK && items.p == NULL)
		e = fail_set(f, E_INVALID_FIELD, "items is required");
	return e == OK ? read_items(b, items, f) : e;
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void free_batch(void *arg)
{
	struct batch *b = arg;

	for (size_t i = 0; i < b->nparts; i++)
		request_release(&b->parts[i].r);
	for (size_t i = 0; i < b->n; i++)
		buf_release(&b->results[i]);
	heap_free(b);
}

static STEP answer(struct batch *b)
{
	struct request *r = b->r;
	struct jsonw w;

	if (b->gone)
		return request_fail_code(r, E_CLIENT_GONE);
	if (b->err != OK)
		return request_fail_code(r, b->err);
	w = request_json(r, 200);
	jsonw_obj(&w);
	jsonw_key(&w, "results");
	jsonw_arr(&w);
	for (size_t i = 0; i < b->n; i++)
		jsonw_raw(&w, buf_str(&b->results[i]));
	jsonw_arr_end(&w);
	jsonw_obj_end(&w);
	return buf_err(&r->reply.buf) == OK ? request_reply(r) : request_fail_code(r, E_NOMEM);
}

/* ---- items -------------------------------------------------------------------------------------- */

static void pump(struct batch *b);

static void answered_cb(struct request *r)
{
	struct part *p = (struct part *)r;
	struct batch *b = p->batch;
	enum err e = b->gone ? OK : batch_result_write(r, &b->room, &b->results[p->item]);

	if (e != OK)
		b->err = e;
	request_finish(r);
	request_reset(r);
	p->busy = false;
	p->next = b->idle;
	b->idle = p;
	b->under_way--;
	pump(b);
}

static const struct request_front part_front = { .respond = answered_cb };

/* The head of the batch is the head of each item, but for what only makes sense of the whole. */
static void inherit(struct request *part, const struct request *r)
{
	static const enum header_id heads[] = { HDR_TENANT_ID, HDR_TRACESTATE, HDR_USER_AGENT };

	part->front = &part_front;
	part->loop = r->loop;
	part->api = r->api;
	part->listener = r->listener;
	part->http_version = r->http_version;
	part->tls = r->tls;
	part->client_cert = r->client_cert;
	part->peer = r->peer;
	part->method = r->method;
	part->started_mono = r->started_mono;
	part->started_wall = r->started_wall;
	part->auth = r->auth; /* the principal's reference stays with the batch, which lives longer */
	part->principal_id = r->principal_id;
	part->trace = r->trace;
	part->correlation_id = r->correlation_id;
	part->deadline = r->deadline;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		part->known[heads[i]] = r->known[heads[i]];
		part->known_count[heads[i]] = r->known_count[heads[i]];
	}
	part->known[HDR_CONTENT_TYPE] = part->known[HDR_ACCEPT] = STR("application/json");
	part->known_count[HDR_CONTENT_TYPE] = part->known_count[HDR_ACCEPT] = 1;
}

static void begin(struct batch *b)
{
	struct part *p = b->idle;
	struct fail f = { 0 };
	enum err e;

	b->idle = p->next;
	b->under_way++;
	p->busy = true;
	p->item = b->begun++;
	inherit(&p->r, b->r);
	p->r.op = b->op;
	e = b->kind->read(&p->r, b->items[p->item], &f);
	if (e != OK && f.err == OK)
		f.err = e;
	if (e != OK)
		step_done(request_fail(&p->r, &f));
	else
		api_run_part(b->api, &p->r);
}

/* Begins what may begin; answers when all have ended. The batch may be gone then. */
static void pump(struct batch *b)
{
	if (b->pumping)
		return;
	b->pumping = true;
	while (b->begun < b->n && b->idle != NULL && !b->gone && b->err == OK)
		begin(b);
	b->pumping = false;
	if (b->under_way == 0)
		step_done(answer(b));
}

static void gone_cb(struct request *r)
{
	struct batch *b = r->step_data;

	b->gone = b->pumping = true;
	for (size_t i = 0; i < b->nparts; i++) {
		struct request *part = &b->parts[i].r;
		void (*on_gone)(struct request *) = part->on_gone;

		if (!b->parts[i].busy || on_gone == NULL)
			continue;
		part->client_gone = true;
		part->on_gone = NULL;
		on_gone(part);
	}
	b->pumping = false;
	pump(b);
}

/* ---- the batch ---------------------------------------------------------------------------------- */

static const struct op *find_op(const char *name)
{
	const struct op *op = ops_all;

	while (strcmp(op->name, name) != 0)
		op++;
	return op;
}

static void make_parts(struct batch *b)
{
	b->nparts = b->n < BATCH_AT_ONCE ? b->n : BATCH_AT_ONCE;
	for (size_t i = 0; i < b->nparts; i++) {
		struct part *p = &b->parts[i];

		request_init(&p->r);
		p->batch = b;
		p->next = b->idle;
		b->idle = p;
	}
	for (size_t i = 0; i < b->n; i++)
		buf_init(&b->results[i], BATCH_ANSWER + 4096);
}

static STEP run(struct api *a, struct request *r, const struct batch_kind *kind)
{
	struct batch *b = heap_zalloc(sizeof *b);
	struct fail f = { 0 };
	struct step suspended;

	if (b == NULL || request_on_finish(r, free_batch, b) != OK)
		return request_fail_code(r, E_NOMEM);
	b->api = a;
	b->r = r;
	b->kind = kind;
	b->op = find_op(kind->op);
	b->room = BATCH_ANSWER;
	if (read_body(b, &f) != OK)
		return request_fail(r, &f);
	make_parts(b);
	suspended = request_suspend(r);
	r->step_data = b;
	r->on_gone = gone_cb;
	pump(b);
	return suspended; /* or answered already: b and r may be gone */
}

STEP op_command_batch(struct api *a, struct request *r)
{
	static const struct batch_kind commands = { "command.submit", batch_command_read };

	return run(a, r, &commands);
}

STEP op_query_batch(struct api *a, struct request *r)
{
	static const struct batch_kind queries = { "query.execute", batch_query_read };

	return run(a, r, &queries);
}
