#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "node_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- listener ---------------------------------------------------------------------------------- */

static int listen_loopback(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

uint16_t node_dead_port(void)
{
	uint16_t port;

	close(listen_loopback(&port));
	return port;
}

static void *serve_main(void *arg)
{
	struct node_conn *c = arg;

	c->n->serve(c->n, c->fd, c->nth);
	shutdown(c->fd, SHUT_RDWR); /* closed in node_stop, so that its number stays ours */
	atomic_fetch_add(&c->n->closed, 1);
	return NULL;
}

static void *accept_main(void *arg)
{
	struct node *n = arg;

	for (;;) {
		int i = n->accepted, fd = accept4(n->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 || i == NODE_CONNS)
			return NULL;
		n->conns[i] = (struct node_conn){ n, fd, i };
		atomic_fetch_add(&n->accepted, 1); /* before it can be served */
		if (pthread_create(&n->serving[i], NULL, serve_main, &n->conns[i]) != 0)
			abort();
	}
}

void node_start(struct node *n, node_serve *serve)
{
	memset(n, 0, sizeof *n);
	n->serve = serve;
	n->fd = listen_loopback(&n->port);
	assert_int_equal(listen(n->fd, 128), 0);
	assert_int_equal(pthread_create(&n->accepting, NULL, accept_main, n), 0);
}

void node_stop(struct node *n)
{
	shutdown(n->fd, SHUT_RDWR);
	pthread_join(n->accepting, NULL);
	close(n->fd);
	for (int i = 0; i < n->accepted; i++)
		shutdown(n->conns[i].fd, SHUT_RDWR);
	for (int i = 0; i < n->accepted; i++) {
		pthread_join(n->serving[i], NULL);
		close(n->conns[i].fd);
	}
}

/* ---- HTTP/1.1 ---------------------------------------------------------------------------------- */

size_t node_read_request(struct node *n, int fd, char *buf, size_t cap)
{
	size_t have = 0, want = 0;

	while (have < cap - 1 && (want == 0 || have < want)) {
		ssize_t k = recv(fd, buf + have, want > 0 ? want - have : 1, 0);
		char *length;

		if (k <= 0)
			return 0;
		have += (size_t)k;
		buf[have] = '\0';
		if (want > 0 || have < 4 || strcmp(buf + have - 4, "\r\n\r\n") != 0)
			continue;
		length = strstr(buf, "\r\ncontent-length: ");
		want = have + (length != NULL ? strtoul(length + 18, NULL, 10) : 0);
	}
	atomic_fetch_add(&n->requests, 1);
	return have;
}

void node_write(int fd, const char *text)
{
	for (size_t at = 0, n = strlen(text); at < n;) {
		ssize_t k = send(fd, text + at, n - at, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		at += (size_t)k;
	}
}

/* ---- HTTP/2 ------------------------------------------------------------------------------------ */

struct stream {
	struct stream *prev, *next;
	char path[64];
	char body[65536];
	size_t n, given;
	const char *status; /* grpc-status of the trailers; NULL: no trailers */
	const char *message;
};

struct server {
	struct node *n;
	int fd;
	bool over;
	struct stream *streams; /* open */
};

#define NV(n, v) { (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE }

static ssize_t give(nghttp2_session *s, int32_t id, uint8_t *p, size_t max, uint32_t *flags,
    nghttp2_data_source *source, void *arg)
{
	struct stream *st = source->ptr;
	size_t k = st->n - st->given < max ? st->n - st->given : max;
	nghttp2_nv trailers[2] = { NV("grpc-status", st->status != NULL ? st->status : ""),
		NV("grpc-message", st->message != NULL ? st->message : "") };

	(void)arg;
	memcpy(p, st->body + st->given, k);
	st->given += k;
	if (st->given == st->n) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (st->status != NULL) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(s, id, trailers, st->message != NULL ? 2 : 1);
		}
	}
	return (ssize_t)k;
}

static void answer(nghttp2_session *s, int32_t id, struct stream *st, const char *http)
{
	nghttp2_data_provider data = { .source.ptr = st, .read_callback = give };
	nghttp2_nv head[] = { NV(":status", http), NV("content-type", "application/grpc"), NV("x-node", "2") };

	nghttp2_submit_response(s, id, head, 3, &data);
}

/* Status and nothing else: "Trailers-Only". */
static void answer_status(nghttp2_session *s, int32_t id, const char *status, const char *message)
{
	nghttp2_nv head[] = { NV(":status", "200"), NV("content-type", "application/grpc"),
		NV("grpc-status", status), NV("grpc-message", message) };

	nghttp2_submit_response(s, id, head, 4, NULL);
}

static void serve_path(struct server *srv, nghttp2_session *s, int32_t id, struct stream *st)
{
	const char *p = st->path;

	st->status = "0";
	if (!strcmp(p, "/silent"))
		return;
	if (!strcmp(p, "/refused") || (!strcmp(p, "/refused-once") && srv->n->requests == 1)) {
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	} else if (!strcmp(p, "/reset")) {
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	} else if (!strcmp(p, "/goaway-unseen") && srv->n->requests == 1) {
		nghttp2_submit_goaway(s, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
	} else if (!strcmp(p, "/close")) {
		srv->over = true;
	} else if (!strcmp(p, "/grpc.health.v1.Health/Check") && srv->n->health == 0) {
		answer_status(s, id, "12", "");
	} else if (!strcmp(p, "/grpc.health.v1.Health/Check")) {
		memcpy(st->body, "\0\0\0\0\2\x08", 6);
		st->body[6] = (char)srv->n->health;
		st->n = 7;
		answer(s, id, st, "200");
	} else if (!strcmp(p, "/denied")) {
		answer_status(s, id, "7", "no%20%C3%A9ntry%2");
	} else if (!strcmp(p, "/http-503")) {
		st->status = NULL;
		answer(s, id, st, "503");
	} else if (!strcmp(p, "/status-missing")) {
		st->status = NULL;
		answer(s, id, st, "200");
	} else if (!strcmp(p, "/status-bad")) {
		answer_status(s, id, "seven", "");
	} else {
		if (!strcmp(p, "/two-messages") && st->n * 2 < sizeof st->body) {
			memcpy(st->body + st->n, st->body, st->n);
			st->n *= 2;
		} else if (!strcmp(p, "/compressed")) {
			st->body[0] = 1;
		} else if (!strcmp(p, "/short")) {
			st->n--;
		} else if (!strcmp(p, "/empty")) {
			st->n = 0;
		} else if (!strcmp(p, "/failed")) {
			st->status = "9";
			st->message = "behind";
		}
		answer(s, id, st, "200");
		if (!strcmp(p, "/goaway-after"))
			nghttp2_submit_goaway(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0);
	}
}

static int on_begin(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct server *srv = arg;
	int now = atomic_fetch_add(&srv->n->streams, 1) + 1;
	struct stream *st = calloc(1, sizeof *st);

	if (now > srv->n->most_streams)
		srv->n->most_streams = now;
	st->next = srv->streams;
	if (st->next != NULL)
		st->next->prev = st;
	srv->streams = st;
	nghttp2_session_set_stream_user_data(s, f->hd.stream_id, st);
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nn,
    const uint8_t *v, size_t vn, uint8_t flags, void *arg)
{
	struct stream *st = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

	(void)flags;
	(void)arg;
	if (st != NULL && nn == 5 && memcmp(name, ":path", 5) == 0 && vn < sizeof st->path)
		memcpy(st->path, v, vn);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct stream *st = nghttp2_session_get_stream_user_data(s, id);

	(void)flags;
	(void)arg;
	if (st != NULL && n <= sizeof st->body - st->n) {
		memcpy(st->body + st->n, p, n);
		st->n += n;
	}
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct server *srv = arg;
	struct stream *st = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);

	if (st == NULL || !(f->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	atomic_fetch_add(&srv->n->requests, 1);
	serve_path(srv, s, f->hd.stream_id, st);
	return 0;
}

static void stream_free(struct server *srv, struct stream *st)
{
	*(st->prev != NULL ? &st->prev->next : &srv->streams) = st->next;
	if (st->next != NULL)
		st->next->prev = st->prev;
	atomic_fetch_sub(&srv->n->streams, 1);
	free(st);
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
	struct server *srv = arg;
	struct stream *st = nghttp2_session_get_stream_user_data(s, id);

	(void)code;
	if (st != NULL)
		stream_free(srv, st);
	return 0;
}

static bool send_all(struct server *srv, nghttp2_session *s)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(s, &p)) > 0)
		for (ssize_t at = 0, k; at < n; at += k) {
			k = send(srv->fd, p + at, (size_t)(n - at), MSG_NOSIGNAL);
			if (k <= 0)
				return false;
		}
	return n == 0;
}

void node_http2(struct node *n, int fd, int nth)
{
	struct server srv = { .n = n, .fd = fd };
	nghttp2_settings_entry max = { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, n->max_streams };
	nghttp2_session_callbacks *cbs;
	nghttp2_session *s;
	uint8_t in[65536];
	ssize_t k = 1;

	(void)nth;
	nghttp2_session_callbacks_new(&cbs);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_close);
	nghttp2_session_server_new(&s, cbs, &srv);
	nghttp2_submit_settings(s, NGHTTP2_FLAG_NONE, &max, n->max_streams > 0);
	while (send_all(&srv, s) && !srv.over && nghttp2_session_want_read(s)) {
		k = recv(fd, in, sizeof in, 0);
		if (k <= 0 || nghttp2_session_mem_recv(s, in, (size_t)k) < 0)
			break;
	}
	while (srv.streams != NULL)
		stream_free(&srv, srv.streams);
	nghttp2_session_del(s);
	nghttp2_session_callbacks_del(cbs);
}
