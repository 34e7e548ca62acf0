#include "client/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "base/heap.h"
#include "base/rnd.h"
#include "base/secret.h"

#define MAX_SERVERS 32
#define CONNECT_TIMEOUT_MS 5000L

struct http_client {
	CURL *curl;
	char *server[MAX_SERVERS];
	size_t n, at; /* at: the one that answered last */
	char *ca, *user_agent;
	long timeout_ms;
};

/* ---- servers ---- */

static enum err check_url(struct str url, struct fail *f)
{
	struct str host;

	if (str_starts(url, STR("http://")))
		host = str_skip(url, 7);
	else if (str_starts(url, STR("https://")))
		host = str_skip(url, 8);
	else
		return fail_set(f, E_USAGE, "server '%.*s' must begin with http:// or https://",
		    STR_ARG(url));
	if (memchr(host.p, '@', host.n) != NULL)
		return fail_set(f, E_USAGE, "a server's address must not carry a name or a password");
	if (host.n == 0 || host.p[0] == '/' || memchr(host.p, '?', host.n) != NULL ||
	    memchr(host.p, '#', host.n) != NULL || memchr(host.p, ' ', host.n) != NULL)
		return fail_set(f, E_USAGE, "server '%.*s' is not an address", STR_ARG(url));
	return OK;
}

static enum err add_server(struct http_client *h, struct str url, struct fail *f)
{
	enum err e;

	while (url.n > 0 && url.p[url.n - 1] == '/')
		url.n--;
	e = check_url(url, f);
	if (e != OK)
		return e;
	if (h->n == MAX_SERVERS)
		return fail_set(f, E_USAGE, "more than %d servers", MAX_SERVERS);
	h->server[h->n] = strndup(url.p, url.n);
	return h->server[h->n++] != NULL ? OK : E_NOMEM;
}

static enum err add_servers(struct http_client *h, struct str list, struct fail *f)
{
	enum err e = OK;
	uint32_t r;

	while (e == OK && list.p != NULL) {
		struct str url = str_trim(str_cut(list, ',', &list));

		if (url.n > 0)
			e = add_server(h, url, f);
	}
	if (e == OK && h->n == 0)
		e = fail_set(f, E_USAGE, "no server is named");
	rnd_bytes(&r, sizeof r);
	h->at = h->n > 0 ? r % h->n : 0;
	return e;
}

enum err http_client_new(const struct http_client_config *c, struct http_client **out,
    struct fail *f)
{
	struct http_client *h = heap_zalloc(sizeof *h);
	enum err e;

	*out = NULL;
	if (h == NULL)
		return fail_set(f, E_NOMEM, "no memory");
	e = add_servers(h, str_c(c->servers), f);
	h->timeout_ms = c->timeout_us > 0 ? (long)(c->timeout_us / 1000) : 30000;
	h->ca = c->ca != NULL ? strdup(c->ca) : NULL;
	h->user_agent = c->user_agent != NULL ? strdup(c->user_agent) : NULL;
	h->curl = curl_easy_init();
	if (e == OK && (h->curl == NULL || (c->ca != NULL && h->ca == NULL)))
		e = fail_set(f, E_NOMEM, "no memory");
	if (e == OK)
		*out = h;
	else
		http_client_free(h);
	return e;
}

void http_client_free(struct http_client *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	for (size_t i = 0; i < h->n; i++)
		free(h->server[i]);
	free(h->ca);
	free(h->user_agent);
	heap_free(h);
}

size_t http_client_servers(const struct http_client *h)
{
	return h->n;
}

const char *http_client_server(const struct http_client *h, size_t i)
{
	return h->server[i];
}

/* ---- one try ---- */

void http_reply_init(struct http_reply *r)
{
	*r = (struct http_reply){ 0 };
	buf_init_secret(&r->body, HTTP_REPLY_MAX);
}

/* Bodies of the sign-in carry tokens. */
static void reply_clear(struct http_reply *r)
{
	buf_clear(&r->body);
	r->status = r->retry_after = 0;
	r->etag[0] = r->request_id[0] = '\0';
}

void http_reply_release(struct http_reply *r)
{
	reply_clear(r);
	buf_release(&r->body);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct http_reply *r = ctx;

	return buf_add(&r->body, p, size * n) == OK ? size * n : 0;
}

static void keep(struct str value, char *out, size_t cap)
{
	if (value.n < cap) {
		memcpy(out, value.p, value.n);
		out[value.n] = '\0';
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct http_reply *r = ctx;
	struct str value, name = str_cut(str_chomp(str_n(p, size * n)), ':', &value);
	uint64_t seconds;

	value = str_trim(value);
	if (str_ieq(name, STR("etag")))
		keep(value, r->etag, sizeof r->etag);
	else if (str_ieq(name, STR("x-correlation-id")))
		keep(value, r->request_id, sizeof r->request_id);
	else if (str_ieq(name, STR("retry-after")) && str_u64(value, 86400, &seconds))
		r->retry_after = (int)seconds;
	return size * n;
}

static bool add_header(struct curl_slist **l, const char *name, struct str value)
{
	struct curl_slist *more;
	struct buf line;

	buf_init_secret(&line, 64 * 1024);
	buf_printf(&line, "%s: %.*s", name, STR_ARG(value));
	more = buf_cstr(&line) != NULL && !line.failed ? curl_slist_append(*l, line.p) : NULL;
	buf_release(&line);
	if (more != NULL)
		*l = more;
	return more != NULL;
}

static bool add_headers(struct curl_slist **l, const struct http_request *q)
{
	struct buf auth;
	bool ok = add_header(l, "Accept", STR("application/json"));

	/* no Expect: 100-continue, which costs a second where it is not understood */
	ok = ok && add_header(l, "Expect", STR_NONE);
	if (q->body.n > 0)
		ok = ok && add_header(l, "Content-Type", str_c(q->content_type));
	if (q->if_match != NULL)
		ok = ok && add_header(l, "If-Match", str_c(q->if_match));
	if (q->idempotency_key != NULL)
		ok = ok && add_header(l, "Idempotency-Key", str_c(q->idempotency_key));
	if (q->bearer.n > 0) {
		buf_init_secret(&auth, 64 * 1024);
		buf_printf(&auth, "Bearer %.*s", STR_ARG(q->bearer));
		ok = ok && !auth.failed && add_header(l, "Authorization", buf_str(&auth));
		buf_release(&auth);
	}
	return ok;
}

static void free_headers(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i != NULL; i = i->next)
		secret_wipe(i->data, strlen(i->data));
	curl_slist_free_all(l);
}

static void set_options(struct http_client *h, const struct http_request *q, struct http_reply *r,
    char *error)
{
	CURL *c = h->curl;

	curl_easy_reset(c); /* connections are kept */
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, h->timeout_ms);
	curl_easy_setopt(c, CURLOPT_USERAGENT, h->user_agent != NULL ? h->user_agent : "libgwclient");
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
	if (h->ca != NULL)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->ca);
	if (q->body.n > 0 || strcmp(q->method, "POST") == 0) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body.n > 0 ? q->body.p : "");
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
	}
}

/* E_UNREACHABLE with libcurl's reason when there was no answer. */
static enum err try_one(struct http_client *h, const struct http_request *q, struct http_reply *r,
    struct fail *f)
{
	char url[8192], error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	enum err e = OK;
	CURLcode rc;
	long status = 0;

	reply_clear(r);
	if ((size_t)snprintf(url, sizeof url, "%s%s", h->server[h->at], q->path) >= sizeof url)
		return fail_set(f, E_USAGE, "the address is too long");
	set_options(h, q, r, error);
	if (!add_headers(&headers, q)) {
		free_headers(headers);
		return fail_set(f, E_NOMEM, "no memory");
	}
	curl_easy_setopt(h->curl, CURLOPT_URL, url);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
	rc = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	if (rc != CURLE_OK)
		e = fail_set(f, E_UNREACHABLE, "%s: %s", h->server[h->at],
		    error[0] != '\0' ? error : curl_easy_strerror(rc));
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL);
	free_headers(headers);
	return e;
}

enum err http_call(struct http_client *h, const struct http_request *q, struct http_reply *r,
    struct fail *f)
{
	enum err e = E_UNREACHABLE;

	for (size_t tries = 0; tries < h->n; tries++) {
		e = try_one(h, q, r, f);
		if ((e == OK && r->status < 500) || (e != OK && e != E_UNREACHABLE))
			return e;
		if (tries + 1 < h->n)
			h->at = (h->at + 1) % h->n;
	}
	return e;
}
