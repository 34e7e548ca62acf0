#include "authn/fetch.h"

#include <curl/curl.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/secret.h"

#define TIMEOUT_DEFAULT (5 * CLOCK_SEC)
#define CONNECT_MS 3000L
#define FORM_MAX (16u << 10)
#define FIELD_MAX (4u << 10)
#define MAX_AGE_MOST (10 * 365 * 86400u)

struct fetch {
	CURL *curl;
	struct curl_slist *headers;
	struct buf body, form;
	long timeout_ms;
	char *ca;
	int64_t max_age, age;
	bool too_large;
	char error[CURL_ERROR_SIZE];
};

/* ---- which addresses ------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	    (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

static bool part_absent(CURLU *u, CURLUPart part, CURLUcode absent)
{
	char *text = NULL;
	CURLUcode rc = curl_url_get(u, part, &text, 0);

	curl_free(text);
	return rc == absent;
}

static bool transport_allowed(CURLU *u)
{
	char *scheme = NULL, *host = NULL;
	bool ok = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '\0' &&
	    (strcmp(scheme, "https") == 0 || is_loopback(host));

	curl_free(scheme);
	curl_free(host);
	return ok;
}

/* libcurl takes one slash, or three, for two. */
static bool looks_like_one(const char *url)
{
	size_t n = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;

	if (n == 0 || url[n] == '/')
		return false;
	for (const char *c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	return true;
}

static bool check_url(const char *url, bool any_transport)
{
	CURLU *u = looks_like_one(url) ? curl_url() : NULL;
	bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    part_absent(u, CURLUPART_USER, CURLUE_NO_USER) &&
	    part_absent(u, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD) &&
	    part_absent(u, CURLUPART_FRAGMENT, CURLUE_NO_FRAGMENT) &&
	    (any_transport || transport_allowed(u));

	curl_url_cleanup(u);
	return ok;
}

bool fetch_url_valid(const char *url)
{
	return check_url(url, true);
}

bool fetch_url_allowed(const char *url)
{
	return check_url(url, false);
}

/* ---- what comes back ------------------------------------------------------------------------- */

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
	struct fetch *x = ctx;

	if (buf_add(&x->body, p, size * n) == OK)
		return size * n;
	x->too_large = !x->body.nomem;
	return 0;
}

static void read_cache_control(struct fetch *x, struct str rest)
{
	uint64_t seconds;

	while (rest.p != NULL) {
		struct str value, name = str_cut(str_trim(str_cut(rest, ',', &rest)), '=', &value);

		if (str_ieq(name, STR("no-store")) || str_ieq(name, STR("no-cache")))
			x->max_age = 0;
		else if (str_ieq(name, STR("max-age")) && x->max_age != 0 &&
		    str_u64(value, MAX_AGE_MOST, &seconds))
			x->max_age = (int64_t)seconds;
	}
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct fetch *x = ctx;
	struct str value, name = str_cut(str_chomp(str_n(p, size * n)), ':', &value);
	uint64_t seconds;

	value = str_trim(value);
	if (str_ieq(name, STR("cache-control")))
		read_cache_control(x, value);
	else if (str_ieq(name, STR("age")) && str_u64(value, MAX_AGE_MOST, &seconds))
		x->age = (int64_t)seconds;
	return size * n;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

enum err fetch_new(const struct fetch_limits *l, struct fetch **out)
{
	int64_t timeout = l->timeout_us > 0 ? l->timeout_us : TIMEOUT_DEFAULT;
	struct fetch *x = heap_zalloc(sizeof *x);

	if (x == NULL)
		return E_NOMEM;
	buf_init(&x->body, l->max);
	buf_init(&x->form, FORM_MAX);
	x->timeout_ms = (long)(timeout / CLOCK_MS);
	x->ca = l->ca != NULL ? heap_strdup(l->ca) : NULL;
	if ((l->ca != NULL && x->ca == NULL) || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		heap_free(x->ca);
		heap_free(x);
		return E_NOMEM;
	}
	x->curl = curl_easy_init();
	if (x->curl == NULL) {
		fetch_free(x);
		return E_NOMEM;
	}
	*out = x;
	return OK;
}

static void wipe(struct buf *b)
{
	if (b->p != NULL)
		secret_wipe(b->p, b->cap);
	buf_clear(b);
}

static void forget(struct fetch *x)
{
	wipe(&x->body);
	wipe(&x->form);
	for (struct curl_slist *h = x->headers; h != NULL; h = h->next)
		secret_wipe(h->data, strlen(h->data));
	curl_slist_free_all(x->headers);
	x->headers = NULL;
	x->max_age = -1;
	x->age = 0;
	x->too_large = false;
	x->error[0] = '\0';
}

void fetch_free(struct fetch *x)
{
	if (x == NULL)
		return;
	curl_easy_cleanup(x->curl);
	forget(x);
	buf_release(&x->body);
	buf_release(&x->form);
	heap_free(x->ca);
	heap_free(x);
	curl_global_cleanup();
}

static enum err add_header(struct fetch *x, const char *name, struct str value)
{
	struct curl_slist *more = NULL;
	struct buf line;

	buf_init(&line, FIELD_MAX);
	buf_printf(&line, "%s: %.*s", name, STR_ARG(value));
	if (buf_cstr(&line) != NULL && !line.failed)
		more = curl_slist_append(x->headers, line.p);
	wipe(&line);
	buf_release(&line);
	if (more == NULL)
		return E_NOMEM;
	x->headers = more;
	return OK;
}

static CURLcode set_limits(struct fetch *x)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 }, { CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_TIMEOUT_MS, x->timeout_ms }, { CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS },
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 }, { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
		{ CURLOPT_SSL_VERIFYPEER, 1 }, { CURLOPT_SSL_VERIFYHOST, 2 }, { CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
	};
	const struct {
		CURLoption option;
		const char *value;
	} texts[] = {
		{ CURLOPT_PROTOCOLS_STR, "http,https" }, { CURLOPT_PROXY, "" },
		{ CURLOPT_USERAGENT, "gatewayd/" GW_VERSION }, { CURLOPT_CAINFO, x->ca },
	};
	CURLcode rc = CURLE_OK;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(x->curl, numbers[i].option, numbers[i].value);
	for (size_t i = 0; i < sizeof texts / sizeof *texts && rc == CURLE_OK; i++)
		if (texts[i].value != NULL)
			rc = curl_easy_setopt(x->curl, texts[i].option, texts[i].value);
	return rc;
}

static CURLcode set_callbacks(struct fetch *x)
{
	CURLcode rc = curl_easy_setopt(x->curl, CURLOPT_ERRORBUFFER, x->error);

	if (rc == CURLE_OK)
		rc = curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(x->curl, CURLOPT_HEADERFUNCTION, on_header);
	return rc == CURLE_OK ? curl_easy_setopt(x->curl, CURLOPT_HEADERDATA, x) : rc;
}

static CURLcode set_form(struct fetch *x)
{
	CURLcode rc = curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, x->form.p);

	return rc == CURLE_OK ?
	    curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->form.n) : rc;
}

enum err fetch_prepare(struct fetch *x, const char *url, struct str form, struct str authorization)
{
	CURLcode rc;
	enum err e;

	forget(x);
	curl_easy_reset(x->curl); /* connections are kept */
	e = add_header(x, "Accept", STR("application/json"));
	if (e == OK && authorization.p != NULL)
		e = add_header(x, "Authorization", authorization);
	if (e == OK && form.p != NULL)
		e = buf_adds(&x->form, form) == OK && buf_cstr(&x->form) != NULL ? OK : E_NOMEM;
	if (e != OK)
		return e;
	rc = set_limits(x);
	if (rc == CURLE_OK)
		rc = set_callbacks(x);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
	if (rc == CURLE_OK && form.p != NULL)
		rc = set_form(x);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(x->curl, CURLOPT_URL, url);
	return rc == CURLE_OK ? OK : E_NOMEM;
}

void *fetch_handle(struct fetch *x)
{
	return x->curl;
}

/* ---- what it came to ------------------------------------------------------------------------- */

enum err fetch_outcome(struct fetch *x, int curl_code, struct fail *f)
{
	int status = fetch_status(x);

	if (x->too_large)
		return fail_set(f, E_UPSTREAM_FAILED, "the answer is larger than %zu bytes", x->body.max);
	if (curl_code != CURLE_OK)
		return fail_set(f, E_UPSTREAM_FAILED, "%s", x->error[0] != '\0' ? x->error :
		    curl_easy_strerror((CURLcode)curl_code));
	if (status < 200 || (status >= 300 && status < 400) || status >= 500)
		return fail_set(f, E_UPSTREAM_FAILED, "the answer is %d", status);
	return OK;
}

enum err fetch_run(struct fetch *x, struct fail *f)
{
	return fetch_outcome(x, (int)curl_easy_perform(x->curl), f);
}

int fetch_status(const struct fetch *x)
{
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

struct str fetch_body(const struct fetch *x)
{
	return buf_str(&x->body);
}

int64_t fetch_max_age(const struct fetch *x)
{
	if (x->max_age < 0)
		return -1;
	return x->max_age > x->age ? x->max_age - x->age : 0;
}
