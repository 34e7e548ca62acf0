#include "store/rqlite_http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/heap.h"

#define CONNECT_TIMEOUT_MS 1000L
#define IDLE_MAX 128 /* handles kept; each has a connection or two open */

struct http_handle {
	CURL *curl;
	struct http_handle *next; /* idle */
	char error[CURL_ERROR_SIZE];
};

struct http_pool {
	char *ca, *cert, *key;
	struct curl_slist *headers;
	atomic_bool *stop;
	pthread_mutex_t lock; /* what follows */
	struct http_handle *idle;
	size_t nidle;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- callbacks of a request ---------------------------------------------------------------- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct http_answer *a = ctx;

	return buf_add(&a->body, p, size * n) == OK ? size * n : 0;
}

static void keep_header(struct str line, const char *name, char *out, size_t cap)
{
	struct str value, key = str_cut(line, ':', &value);

	if (value.p == NULL || !str_ieq(key, str_c(name)))
		return;
	value = str_trim(value);
	if (value.n >= cap)
		return;
	memcpy(out, value.p, value.n);
	out[value.n] = '\0';
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct http_answer *a = ctx;
	struct str line = str_chomp(str_n(p, size * n));

	keep_header(line, "location", a->location, sizeof a->location);
	keep_header(line, "x-rqlite-version", a->version, sizeof a->version);
	return size * n;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	atomic_bool *stop = ctx;

	(void)dt, (void)dn, (void)ut, (void)un;
	return *stop ? 1 : 0;
}

/* ---- handles ------------------------------------------------------------------------------- */

static bool set_tls(CURL *c, const struct http_pool *p)
{
	if (p->ca != NULL && curl_easy_setopt(c, CURLOPT_CAINFO, p->ca) != CURLE_OK)
		return false;
	if (p->cert != NULL && curl_easy_setopt(c, CURLOPT_SSLCERT, p->cert) != CURLE_OK)
		return false;
	return p->key == NULL || curl_easy_setopt(c, CURLOPT_SSLKEY, p->key) == CURLE_OK;
}

static struct http_handle *handle_new(struct http_pool *p)
{
	struct http_handle *h = heap_zalloc(sizeof *h);

	if (h == NULL || (h->curl = curl_easy_init()) == NULL || !set_tls(h->curl, p)) {
		if (h != NULL)
			curl_easy_cleanup(h->curl);
		heap_free(h);
		return NULL;
	}
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error);
	curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h->curl, CURLOPT_PROXY, ""); /* not what the environment says */
	curl_easy_setopt(h->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(h->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h->curl, CURLOPT_MAXCONNECTS, 4L);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, p->headers);
	curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h->curl, CURLOPT_XFERINFODATA, p->stop);
	return h;
}

static void handle_free(struct http_handle *h)
{
	curl_easy_cleanup(h->curl);
	heap_free(h);
}

static struct http_handle *handle_get(struct http_pool *p)
{
	struct http_handle *h;

	pthread_mutex_lock(&p->lock);
	h = p->idle;
	if (h != NULL) {
		p->idle = h->next;
		p->nidle--;
	}
	pthread_mutex_unlock(&p->lock);
	return h != NULL ? h : handle_new(p);
}

static void handle_put(struct http_pool *p, struct http_handle *h)
{
	pthread_mutex_lock(&p->lock);
	if (p->nidle < IDLE_MAX) {
		h->next = p->idle;
		p->idle = h;
		p->nidle++;
		h = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	if (h != NULL)
		handle_free(h);
}

/* ---- requests ------------------------------------------------------------------------------ */

static bool nothing_was_sent(CURL *c, CURLcode rc)
{
	curl_off_t began = 0;

	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT: /* while connecting, or afterwards */
		return curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &began) == CURLE_OK &&
		    began == 0;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return true;
	default:
		return false;
	}
}

enum http_result http_post(struct http_pool *p, const char *url, struct str json,
    int64_t timeout_us, struct http_answer *out, struct fail *f)
{
	struct http_handle *h = handle_get(p);
	long ms = timeout_us > CLOCK_MS ? (long)(timeout_us / CLOCK_MS) : 1, status = 0;
	enum http_result result = HTTP_ANSWERED;
	CURLcode rc;

	out->location[0] = out->version[0] = '\0';
	buf_clear(&out->body);
	if (h == NULL) {
		fail_set(f, E_NOMEM, "%s", "");
		return HTTP_NOT_SENT;
	}
	h->error[0] = '\0';
	curl_easy_setopt(h->curl, CURLOPT_URL, url);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)json.n);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, json.p);
	curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, ms);
	curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(h->curl, CURLOPT_HEADERDATA, out);
	rc = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	out->status = (int)status;
	if (rc != CURLE_OK) {
		fail_set(f, E_STORE_UNAVAILABLE, "%s: %s", url,
		    h->error[0] != '\0' ? h->error : curl_easy_strerror(rc));
		result = nothing_was_sent(h->curl, rc) ? HTTP_NOT_SENT : HTTP_LOST;
	}
	handle_put(p, h);
	return result;
}

/* ---- the pool ------------------------------------------------------------------------------ */

static bool copy_path(char **to, const char *from)
{
	if (from == NULL)
		return true;
	*to = heap_strdup(from);
	return *to != NULL;
}

enum err http_pool_new(struct http_pool **out, const char *ca, const char *cert, const char *key,
    atomic_bool *stop)
{
	struct http_pool *p = heap_zalloc(sizeof *p);

	pthread_once(&once, start_curl);
	if (p == NULL)
		return E_NOMEM;
	p->stop = stop;
	pthread_mutex_init(&p->lock, NULL);
	p->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (p->headers != NULL)
		curl_slist_append(p->headers, "Expect:"); /* no 100-continue, no extra round trip */
	if (p->headers == NULL || !copy_path(&p->ca, ca) || !copy_path(&p->cert, cert) ||
	    !copy_path(&p->key, key)) {
		http_pool_free(p);
		return E_NOMEM;
	}
	*out = p;
	return OK;
}

void http_pool_free(struct http_pool *p)
{
	struct http_handle *h;

	if (p == NULL)
		return;
	while ((h = p->idle) != NULL) {
		p->idle = h->next;
		handle_free(h);
	}
	curl_slist_free_all(p->headers);
	pthread_mutex_destroy(&p->lock);
	heap_free(p->ca);
	heap_free(p->cert);
	heap_free(p->key);
	heap_free(p);
}
