#include "answer.h"

#include "tenant.h"

#include <stdlib.h>

#define CHUNK 4096u

void answer_json_take(struct answer *a, int status, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		abort();
	a->status = status;
	a->body.len = 0;
	bytes_add(&a->body, text, strlen(text));
	free(text);
	json_decref(json);
}

void answer_problem(struct answer *a, int status, const char *code, const char *text)
{
	answer_json_take(a, status,
	                 json_pack("{s:s,s:s,s:{}}", "code", code, "error", text, "details"));
}

static void write_chunks(const struct bytes *body, struct bytes *out)
{
	for (size_t at = 0, n; at < body->len; at += n) {
		n = body->len - at < CHUNK ? body->len - at : CHUNK;
		bytes_addf(out, "%zx\r\n", n);
		bytes_add(out, body->data + at, n);
		bytes_add(out, "\r\n", 2);
	}
	bytes_add(out, "0\r\n\r\n", 5);
}

void answer_write(const struct answer *a, bool head_only, bool keep_alive, struct bytes *out)
{
	if (a->raw) {
		bytes_add(out, a->body.data, a->body.len);
		return;
	}
	bytes_addf(out, "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n", a->status,
	           a->status < 400 ? "OK" : "Problem");
	if (!keep_alive || a->end != END_KEEP)
		bytes_addf(out, "connection: close\r\n");
	if (a->chunked)
		bytes_addf(out, "transfer-encoding: chunked\r\n\r\n");
	else if (a->status == 204 || a->status == 304)
		bytes_addf(out, "\r\n");
	else
		bytes_addf(out, "content-length: %zu\r\n\r\n", a->body.len);
	if (head_only || a->status == 204 || a->status == 304)
		return;
	if (a->chunked)
		write_chunks(&a->body, out);
	else
		bytes_add(out, a->body.data, a->body.len);
}

void answer_release(struct answer *a)
{
	if (a->in_flight)
		tenant_leave(a->in_flight);
	bytes_release(&a->body);
	*a = (struct answer){ 0 };
}
