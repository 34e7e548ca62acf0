#include "upstream/response.h"

static enum response_step bad(struct response *r, const char *fault)
{
	r->fault = fault;
	return RESPONSE_BAD;
}

/* ---- the head --------------------------------------------------------------------------------- */

/* status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112, 4) */
static enum response_step status_line(struct response *r, struct str s)
{
	const char *d = s.p + 9;

	if (s.n < 13 || memcmp(s.p, "HTTP/1.", 7) != 0 || (s.p[7] != '0' && s.p[7] != '1') ||
	    s.p[8] != ' ' || s.p[12] != ' ')
		return bad(r, "malformed status line");
	if (d[0] < '1' || d[0] > '5' || d[1] < '0' || d[1] > '9' || d[2] < '0' || d[2] > '9')
		return bad(r, "malformed status code");
	if (!header_is_value(str_skip(s, 13)))
		return bad(r, "control character in the reason phrase");
	r->status = (d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0');
	r->http10 = s.p[7] == '0';
	r->line_read = true;
	return RESPONSE_MORE;
}

static enum response_step content_length(struct response *r, struct str v)
{
	uint64_t n;

	if (!str_u64(v, INT64_MAX, &n))
		return bad(r, "malformed Content-Length");
	if (r->has_length && n != r->length)
		return bad(r, "differing Content-Length fields");
	r->has_length = true;
	r->length = n;
	return RESPONSE_MORE;
}

static enum response_step transfer_encoding(struct response *r, struct str v)
{
	if (r->has_chunked || !str_ieq(v, STR("chunked")))
		return bad(r, "Transfer-Encoding other than chunked");
	r->has_chunked = true;
	return RESPONSE_MORE;
}

static enum response_step connection(struct response *r, struct str v)
{
	if (r->nconnection == RESPONSE_CONNECTIONS)
		return bad(r, "too many Connection fields");
	r->connection[r->nconnection++] = v;
	return RESPONSE_MORE;
}

static enum response_step leave_out(struct response *r, struct str v)
{
	(void)r;
	(void)v;
	return RESPONSE_MORE;
}

/* Fields that are not the caller's: of this hop (RFC 9110, 7.6.1) and of framing. */
static const struct own_field {
	struct str name;
	enum response_step (*read)(struct response *r, struct str v);
} own_fields[] = {
	{ { "content-length", 14 }, content_length },
	{ { "transfer-encoding", 17 }, transfer_encoding },
	{ { "connection", 10 }, connection },
	{ { "keep-alive", 10 }, leave_out },
	{ { "proxy-connection", 16 }, leave_out },
	{ { "proxy-authenticate", 18 }, leave_out },
	{ { "te", 2 }, leave_out },
	{ { "trailer", 7 }, leave_out },
	{ { "upgrade", 7 }, leave_out },
};

static enum response_step field(struct response *r, struct header h)
{
	for (size_t i = 0; i < sizeof own_fields / sizeof *own_fields; i++)
		if (own_fields[i].name.n == h.name.n && str_eq(own_fields[i].name, h.name))
			return own_fields[i].read(r, h.value);
	if (r->nheaders == RESPONSE_HEADERS)
		return bad(r, "too many header fields");
	r->headers[r->nheaders++] = h;
	return RESPONSE_MORE;
}

/* Whether a Connection field lists the option, which is lower-case. */
static bool connection_lists(const struct response *r, struct str option)
{
	for (size_t i = 0; i < r->nconnection; i++)
		if (header_lists(r->connection[i], option))
			return true;
	return false;
}

static void drop_listed(struct response *r)
{
	size_t kept = 0;

	if (r->nconnection == 0)
		return;
	for (size_t i = 0; i < r->nheaders; i++)
		if (!connection_lists(r, r->headers[i].name))
			r->headers[kept++] = r->headers[i];
	r->nheaders = kept;
}

/* Message body length (RFC 9112, 6.3); what that clause lets a recipient repair is refused. */
static enum response_step head_end(struct response *r)
{
	if (r->has_length && r->has_chunked)
		return bad(r, "both Content-Length and Transfer-Encoding");
	if (r->has_chunked && r->http10)
		return bad(r, "Transfer-Encoding in HTTP/1.0");
	if (r->status == 204 && (r->has_chunked || r->length > 0))
		return bad(r, "a body with status 204");
	r->keep_alive = !r->http10 && !connection_lists(r, STR("close"));
	drop_listed(r);
	if (r->to_head || r->status == 204 || r->status == 304)
		r->framing = BODY_EMPTY;
	else if (r->has_chunked)
		r->framing = BODY_CHUNKED;
	else if (r->has_length)
		r->framing = r->length > 0 ? BODY_LENGTH : BODY_EMPTY;
	else
		r->framing = BODY_UNTIL_CLOSE;
	if (r->framing == BODY_UNTIL_CLOSE)
		r->keep_alive = false;
	r->left = r->framing == BODY_LENGTH ? r->length : 0;
	return RESPONSE_DONE;
}

/* The blank line: the end of the head, or of an interim response (RFC 9110, 15.2). */
static enum response_step blank_line(struct response *r)
{
	if (r->status == 101)
		return bad(r, "switching protocols unasked");
	if (r->status >= 200)
		return head_end(r);
	if (r->has_length || r->has_chunked)
		return bad(r, "a body with an interim response");
	r->line_read = false;
	r->nheaders = r->nconnection = 0;
	return RESPONSE_MORE;
}

static enum response_step line(struct response *r, char *p, size_t n)
{
	struct header h;

	if (!r->line_read)
		return status_line(r, str_n(p, n));
	if (n == 0)
		return blank_line(r);
	if (!header_split(p, n, &h))
		return bad(r, "malformed header field");
	return field(r, h);
}

void response_init(struct response *r, bool to_head)
{
	/* all but the array of headers, which is large and of which nheaders says what counts */
	memset((char *)r + offsetof(struct response, nheaders), 0,
	    sizeof *r - offsetof(struct response, nheaders));
	r->status = 0;
	r->to_head = to_head;
}

void response_move(struct response *r, char *p)
{
	if (r->base == p)
		return;
	for (size_t i = 0; i < r->nheaders; i++) {
		r->headers[i].name.p = p + (r->headers[i].name.p - r->base);
		r->headers[i].value.p = p + (r->headers[i].value.p - r->base);
	}
	for (size_t i = 0; i < r->nconnection; i++)
		r->connection[i].p = p + (r->connection[i].p - r->base);
	r->base = p;
}

enum response_step response_head(struct response *r, char *p, size_t n, size_t *used)
{
	enum response_step step = RESPONSE_MORE;

	response_move(r, p);
	while (step == RESPONSE_MORE) {
		char *lf = r->at < n ? memchr(p + r->at, '\n', n - r->at) : NULL;
		size_t end = lf != NULL ? (size_t)(lf - p) : n;

		if (end >= RESPONSE_MAX_HEAD)
			return bad(r, "the head is too large");
		if (lf == NULL)
			return RESPONSE_MORE;
		if (end == r->at || p[end - 1] != '\r')
			return bad(r, "a line that does not end in CRLF");
		step = line(r, p + r->at, end - 1 - r->at);
		r->at = end + 1;
	}
	*used = r->at;
	return step;
}

/* ---- the body --------------------------------------------------------------------------------- */

/* Takes up to r->left bytes as data. */
static struct str take(struct response *r, const char *p, size_t n)
{
	size_t k = r->left < n ? (size_t)r->left : n;

	r->left -= k;
	return str_n(p, k);
}

static enum response_step chunks(struct response *r, const char *p, size_t n, size_t *used,
    struct str *data)
{
	switch (chunked_read(&r->chunked, p, n, used, data)) {
	case CHUNKED_MORE:
		return RESPONSE_MORE;
	case CHUNKED_DATA:
		return RESPONSE_DATA;
	case CHUNKED_DONE:
		return RESPONSE_DONE;
	case CHUNKED_BAD:
		break;
	}
	return bad(r, "malformed chunk");
}

enum response_step response_body(struct response *r, const char *p, size_t n, size_t *used,
    struct str *data)
{
	*used = 0;
	switch (r->framing) {
	case BODY_EMPTY:
		return RESPONSE_DONE;
	case BODY_LENGTH:
		if (r->left == 0)
			return RESPONSE_DONE;
		break;
	case BODY_CHUNKED:
		return chunks(r, p, n, used, data);
	case BODY_UNTIL_CLOSE:
		r->left = n;
		break;
	}
	if (n == 0)
		return RESPONSE_MORE;
	*data = take(r, p, n);
	*used = data->n;
	return RESPONSE_DATA;
}

enum response_step response_eof(struct response *r)
{
	if (r->framing == BODY_UNTIL_CLOSE)
		return RESPONSE_DONE;
	return bad(r, "the connection ended within the response");
}
