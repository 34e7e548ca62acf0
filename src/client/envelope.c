#include "client/envelope.h"

#include <jansson.h>
#include <stdio.h>

#include "client/http.h"

/* For answers without a code that we know: a proxy's, or a newer gateway's. */
static enum err by_status(int status)
{
	static const struct {
		int status;
		enum err err;
	} table[] = {
		{ 400, E_BAD_REQUEST }, { 401, E_UNAUTHENTICATED }, { 403, E_FORBIDDEN },
		{ 404, E_NOT_FOUND }, { 405, E_METHOD_NOT_ALLOWED }, { 408, E_REQUEST_TIMEOUT },
		{ 409, E_CONFLICT }, { 412, E_PRECONDITION_FAILED }, { 413, E_BODY_TOO_LARGE },
		{ 429, E_RATE_LIMITED }, { 501, E_NOT_IMPLEMENTED }, { 502, E_UPSTREAM_FAILED },
		{ 503, E_NOT_READY }, { 504, E_UPSTREAM_TIMEOUT },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].status == status)
			return table[i].err;
	return status >= 400 && status < 500 ? E_BAD_REQUEST : E_INTERNAL;
}

static enum err read_error(struct http_reply *r, const json_t *o, struct fail *f)
{
	const char *code = json_string_value(json_object_get(o, "code"));
	const char *error = json_string_value(json_object_get(o, "error"));
	const char *id = json_string_value(json_object_get(o, "request_id"));
	json_t *details = json_object_get(o, "details");
	enum err e = code != NULL ? err_by_code(code) : E_INTERNAL;

	if (e == OK || (e == E_INTERNAL && (code == NULL || r->status != 500)))
		e = by_status(r->status);
	if (error != NULL)
		fail_set(f, e, "%s", error);
	else
		fail_set(f, e, "the answer was HTTP %d, not from a gateway", r->status);
	if (json_is_object(details) && json_object_size(details) > 0)
		fail_details_take(f, json_incref(details));
	if (id != NULL && r->request_id[0] == '\0')
		snprintf(r->request_id, sizeof r->request_id, "%s", id);
	if (f != NULL)
		f->retry_after = r->retry_after;
	return e;
}

enum err envelope_read(struct http_reply *r, json_t **body, struct fail *f)
{
	json_t *o = r->body.n > 0 ? json_loadb(r->body.p, r->body.n, JSON_DECODE_ANY, NULL) : NULL;
	enum err e = OK;

	*body = NULL;
	if (r->status < 200 || r->status > 299)
		e = read_error(r, o, f);
	else if (r->body.n > 0 && o == NULL)
		e = fail_set(f, E_BAD_UPSTREAM, "the answer is not JSON: is this a gateway?");
	if (e == OK)
		*body = o;
	else
		json_decref(o);
	return e;
}
