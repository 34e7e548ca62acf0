/* An HTTP/2 client, by nghttp2, and the worker that it talks to. Included by one test program each. */
#ifndef FRONT_HTTP2_CLIENT_H
#define FRONT_HTTP2_CLIENT_H

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "front_worker.h"

struct stream {
	int32_t id;
	int status;
	char head[4096]; /* "name: value\n", trailers behind a "--\n" */
	char *body;
	size_t n, cap;
	bool closed;
	uint32_t error;
	struct str up; /* body to send */
};

struct client {
	int fd;
	nghttp2_session *s;
	struct stream st[512];
	int n;
	bool goaway, eof;
	uint32_t goaway_error;
	int32_t goaway_last;
};

static struct stream *of(nghttp2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s, id);
}

static int c_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nn,
    const uint8_t *value, size_t vn, uint8_t flags, void *arg)
{
	struct stream *st = of(s, f->hd.stream_id);
	size_t at = strlen(st->head);

	(void)flags;
	(void)arg;
	if (nn == 7 && memcmp(name, ":status", 7) == 0)
		st->status = atoi((const char *)value);
	snprintf(st->head + at, sizeof st->head - at, "%s%.*s: %.*s\n",
	    f->headers.cat == NGHTTP2_HCAT_HEADERS && strstr(st->head, "--\n") == NULL ? "--\n" : "",
	    (int)nn, name, (int)vn, value);
	return 0;
}

static int c_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct stream *st = of(s, id);

	(void)flags;
	(void)arg;
	if (st->n + n > st->cap) {
		st->cap = (st->n + n) * 2;
		st->body = realloc(st->body, st->cap);
	}
	memcpy(st->body + st->n, p, n);
	st->n += n;
	return 0;
}

static int c_close(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
	struct stream *st = of(s, id);

	(void)arg;
	st->closed = true;
	st->error = error;
	return 0;
}

static int c_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct client *c = arg;

	(void)s;
	if (f->hd.type == NGHTTP2_GOAWAY) {
		c->goaway = true;
		c->goaway_error = f->goaway.error_code;
		c->goaway_last = f->goaway.last_stream_id;
	}
	return 0;
}

static ssize_t c_up(nghttp2_session *s, int32_t id, uint8_t *buf, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct stream *st = source->ptr;
	size_t n = st->up.n < max ? st->up.n : max;

	(void)s;
	(void)id;
	(void)arg;
	memcpy(buf, st->up.p, n);
	st->up = str_skip(st->up, n);
	if (st->up.n == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void push(struct client *c)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(c->s, &p)) > 0)
		say(c->fd, p, (size_t)n);
}

static void client_up_with(struct client *c, bool no_checks)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;

	memset(c, 0, sizeof *c);
	c->fd = dial(&w.grpc);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_option_new(&opt);
	nghttp2_option_set_no_http_messaging(opt, no_checks);
	nghttp2_session_callbacks_set_on_header_callback(cb, c_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, c_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, c_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, c_frame);
	nghttp2_session_client_new2(&c->s, cb, c, opt);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
	nghttp2_submit_settings(c->s, NGHTTP2_FLAG_NONE, NULL, 0);
	push(c);
}

static void client_up(struct client *c)
{
	client_up_with(c, false);
}

static void client_down(struct client *c)
{
	for (int i = 0; i < c->n; i++)
		free(c->st[i].body);
	nghttp2_session_del(c->s);
	close(c->fd);
}

/* Reads once; false when nothing more will come. */
static bool pull(struct client *c)
{
	static uint8_t in[65536];
	ssize_t n;

	if (c->eof || !readable(c->fd, 5000))
		return false;
	n = recv(c->fd, in, sizeof in, 0);
	if (n <= 0) {
		c->eof = true;
		return false;
	}
	assert_true(nghttp2_session_mem_recv(c->s, in, (size_t)n) >= 0);
	push(c);
	return true;
}

static void until_closed(struct client *c, struct stream *st)
{
	while (!st->closed && pull(c))
		;
}

/* fields: "name", "value", ..., NULL behind method and path. */
static struct stream *ask_with(struct client *c, const char *method, const char *path, struct str body,
    const char *const *fields)
{
	struct stream *st = &c->st[c->n++];
	nghttp2_nv nv[80];
	size_t n = 0;
	nghttp2_data_provider up_data = { .source.ptr = st, .read_callback = c_up };
	const char *base[] = { ":method", method, ":path", path, ":scheme", "http", ":authority", "h", NULL };

	for (int pass = 0; pass < 2; pass++)
		for (const char *const *f = pass == 0 ? base : fields; f != NULL && *f != NULL; f += 2)
			nv[n++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)f[0], (uint8_t *)(uintptr_t)f[1],
				strlen(f[0]), strlen(f[1]), NGHTTP2_NV_FLAG_NONE };
	st->up = body;
	st->id = nghttp2_submit_request(c->s, NULL, nv, n, body.p != NULL ? &up_data : NULL, st);
	assert_true(st->id > 0);
	push(c);
	return st;
}

static struct stream *ask(struct client *c, const char *method, const char *path, struct str body)
{
	struct stream *st = ask_with(c, method, path, body, NULL);

	until_closed(c, st);
	return st;
}

/* HEADERS that promise a body which never comes. */
static struct stream *ask_open(struct client *c, const char *length)
{
	struct stream *st = &c->st[c->n++];
	const char *f[] = { ":method", "POST", ":path", "/", ":scheme", "http", ":authority", "h",
		"content-length", length };
	nghttp2_nv nv[5];

	for (int i = 0; i < 5; i++)
		nv[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)f[2 * i], (uint8_t *)(uintptr_t)f[2 * i + 1],
			strlen(f[2 * i]), strlen(f[2 * i + 1]), NGHTTP2_NV_FLAG_NONE };
	st->id = nghttp2_submit_headers(c->s, NGHTTP2_FLAG_NONE, -1, NULL, nv, 5, st);
	push(c);
	until_closed(c, st);
	return st;
}

#endif
