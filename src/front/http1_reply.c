#include "front/http1_reply.h"

#include "api/api.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "request/flow.h"
#include "request/request.h"

#define ROOM 512 /* for all but the reply's own fields */

/* RFC 9110, 15. A status that is not here has an empty reason. */
static const char *const reasons[600] = {
	[200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information",
	[204] = "No Content", [205] = "Reset Content", [206] = "Partial Content",
	[300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
	[304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
	[400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
	[404] = "Not Found", [405] = "Method Not Allowed", [406] = "Not Acceptable",
	[408] = "Request Timeout", [409] = "Conflict", [410] = "Gone", [411] = "Length Required",
	[412] = "Precondition Failed", [413] = "Content Too Large", [414] = "URI Too Long",
	[415] = "Unsupported Media Type", [416] = "Range Not Satisfiable",
	[417] = "Expectation Failed", [421] = "Misdirected Request", [422] = "Unprocessable Content",
	[425] = "Too Early", [426] = "Upgrade Required", [428] = "Precondition Required",
	[429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
	[451] = "Unavailable For Legal Reasons",
	[500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
	[503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
};

static bool is_framing(struct str name)
{
	static const struct str names[] = { { "connection", 10 }, { "content-length", 14 },
		{ "transfer-encoding", 17 }, { "keep-alive", 10 } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static bool bodiless(int status)
{
	return status == 204 || status == 304;
}

/* The room was reserved: these append without asking. */
static char *put(char *o, struct str s)
{
	if (s.n > 0)
		memcpy(o, s.p, s.n);
	return o + s.n;
}

static char *put_field(char *o, struct str name, struct str value)
{
	o = put(put(o, name), STR(": "));
	return put(put(o, value), STR("\r\n"));
}

static struct str number(char t[20], uint64_t v)
{
	size_t i = 20;

	do
		t[--i] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	return str_n(t + i, 20 - i);
}

static uint64_t length_of(const struct reply *reply)
{
	return reply->flow != NULL ? reply->flow->length : reply->body.n;
}

static char *put_status(char *o, int status)
{
	const char *reason = status >= 0 && status < 600 ? reasons[status] : NULL;

	char t[20];

	o = put(put(o, STR("HTTP/1.1 ")), number(t, (uint64_t)status));
	return put(put(put(o, STR(" ")), str_c(reason)), STR("\r\n"));
}

static size_t room(const struct reply *reply)
{
	size_t n = ROOM + reply->content_type.n;

	for (size_t i = 0; i < reply->nh; i++)
		n += reply->h[i].name.n + reply->h[i].value.n + 4;
	return n;
}

static char *put_fields(char *o, const struct reply *reply)
{
	for (size_t i = 0; i < reply->nh; i++) {
		const struct header *h = &reply->h[i];

		if (!is_framing(h->name) && header_is_token(h->name) && header_is_value(h->value))
			o = put_field(o, h->name, h->value);
	}
	return o;
}

enum err http1_reply_head(const struct request *r, struct str date, enum http1_connection connection,
    struct buf *out)
{
	const struct reply *reply = &r->reply;
	bool body = !bodiless(reply->status);
	enum err e = buf_reserve(out, room(reply));
	char *o = out->p + out->n, t[20];

	if (e != OK)
		return e;
	o = put_field(put_status(o, reply->status), STR("date"), date);
	if (body && reply->content_type.p != NULL && header_is_value(reply->content_type))
		o = put_field(o, STR("content-type"), reply->content_type);
	o = put_fields(o, reply);
	if (connection == CONNECTION_CLOSE || connection == CONNECTION_ENDS)
		o = put(o, STR("connection: close\r\n"));
	else if (connection == CONNECTION_KEEP)
		o = put(o, STR("connection: keep-alive\r\n"));
	if (body && reply->flow != NULL && reply->flow->length == FLOW_LENGTH_UNKNOWN)
		o = put(o, connection == CONNECTION_ENDS ? STR("") : STR("transfer-encoding: chunked\r\n"));
	else if (body)
		o = put_field(o, STR("content-length"), number(t, length_of(reply)));
	o = put(o, STR("\r\n"));
	out->n = (size_t)(o - out->p);
	return OK;
}

struct str http1_reply_body(const struct request *r)
{
	return bodiless(r->reply.status) || str_eq(r->method, STR("HEAD")) ? STR_NONE : r->reply.body;
}

enum err http1_reply_error(enum err e, struct str date, struct buf *out)
{
	char id[ID_TEXT_LEN];
	struct buf body;
	enum err rc;

	id_text(id_new(clock_wall()), id);
	buf_init(&body, 4096);
	api_write_envelope(e, str_c(id), &body);
	buf_printf(out, "HTTP/1.1 %d %s\r\ndate: %.*s\r\ncontent-type: application/json\r\n"
	    "x-correlation-id: %s\r\n%sconnection: close\r\ncontent-length: %zu\r\n\r\n", err_info(e)->http,
	    reasons[err_info(e)->http], STR_ARG(date), id, err_info(e)->http == 503 ? "retry-after: 1\r\n" : "",
	    body.n);
	buf_adds(out, buf_str(&body));
	rc = buf_err(&body) != OK ? buf_err(&body) : buf_err(out);
	buf_release(&body);
	return rc;
}
