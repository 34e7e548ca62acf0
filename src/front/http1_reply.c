#include "front/http1_reply.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include "api/api.h"
#include "base/clock.h"
#include "request/request.h"

#define RAW_MAX (64u << 10)

/* The framing is ours, not the reply's. */
static bool is_framing(struct str name)
{
	return str_ieq(name, STR("connection")) || str_ieq(name, STR("content-length")) ||
	    str_ieq(name, STR("transfer-encoding")) || str_ieq(name, STR("keep-alive"));
}

static bool no_body(int status)
{
	return status == 204 || status == 304;
}

static void add(struct MHD_Response *res, struct request *r, struct str name, struct str value)
{
	char *n = arena_strz(&r->arena, name), *v = arena_strz(&r->arena, value);

	if (n != NULL && v != NULL)
		(void)MHD_add_response_header(res, n, v);
}

bool http1_reply_queue(struct MHD_Connection *mhd, struct request *r, bool close)
{
	struct str body = no_body(r->reply.status) ? STR_NONE : r->reply.body;
	struct MHD_Response *res = MHD_create_response_from_buffer(body.n, (void *)body.p,
	    MHD_RESPMEM_PERSISTENT);
	bool ok;

	if (res == NULL)
		return false;
	if (r->reply.content_type.p != NULL && !no_body(r->reply.status))
		add(res, r, STR("content-type"), r->reply.content_type);
	for (size_t i = 0; i < r->reply.nh; i++)
		if (!is_framing(r->reply.h[i].name))
			add(res, r, r->reply.h[i].name, r->reply.h[i].value);
	if (close)
		(void)MHD_add_response_header(res, "connection", "close");
	ok = MHD_queue_response(mhd, (unsigned)r->reply.status, res) == MHD_YES;
	MHD_destroy_response(res);
	return ok;
}

/* ---- raw ----------------------------------------------------------------------------------- */

static void raw_head(struct buf *b, int status)
{
	buf_printf(b, "HTTP/1.1 %d %s\r\n", status, MHD_get_reason_phrase_for((unsigned)status));
}

static void raw_field(struct buf *b, struct str name, struct str value)
{
	buf_adds(b, name);
	buf_add(b, ": ", 2);
	buf_adds(b, value);
	buf_add(b, "\r\n", 2);
}

static void raw_body(struct buf *b, struct str type, struct str body, bool send_body)
{
	if (type.p != NULL)
		raw_field(b, STR("content-type"), type);
	buf_printf(b, "connection: close\r\ncontent-length: %zu\r\n\r\n", body.n);
	if (send_body)
		buf_adds(b, body);
}

static void raw_send(int fd, struct buf *b)
{
	if (buf_err(b) == OK)
		(void)!send(fd, b->p, b->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_release(b);
}

void http1_reply_raw(int fd, struct request *r)
{
	struct buf b;

	buf_init(&b, RAW_MAX);
	raw_head(&b, r->reply.status);
	for (size_t i = 0; i < r->reply.nh; i++)
		if (!is_framing(r->reply.h[i].name))
			raw_field(&b, r->reply.h[i].name, r->reply.h[i].value);
	raw_body(&b, r->reply.content_type, r->reply.body, !str_eq(r->method, STR("HEAD")));
	raw_send(fd, &b);
}

void http1_reply_raw_error(int fd, enum err e)
{
	struct buf b, body;
	char id[ID_TEXT_LEN];

	id_text(id_new(clock_wall()), id);
	buf_init(&b, RAW_MAX);
	buf_init(&body, RAW_MAX);
	api_write_envelope(e, str_c(id), &body);
	raw_head(&b, err_info(e)->http);
	raw_field(&b, STR("x-correlation-id"), str_c(id));
	if (err_info(e)->http == 503)
		raw_field(&b, STR("retry-after"), STR("1"));
	raw_body(&b, STR("application/json"), buf_str(&body), true);
	raw_send(fd, &b);
	buf_release(&body);
}
