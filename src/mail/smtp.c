#include "mail/smtp.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/secret.h"

#define TIMEOUT_DEFAULT (60 * CLOCK_SEC)
#define CONNECT_MS 15000L
#define STOP_GRACE (3 * CLOCK_SEC)
#define REPLY_MAX 160
#define PATH_MAX_SMTP 400 /* an address in angle brackets, quoted */

/* The last command sent: what the last reply was to. QUIT ends a mail's story: replies to it, and to
 * what libcurl may say on the way out, are of no interest. */
enum stage { STAGE_HELLO, STAGE_AUTH, STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_QUIT };

struct smtp {
	CURL *curl;
	_Atomic int64_t stop_at; /* monotonic; 0: not asked to stop */
	/* of the mail under way */
	struct str rest; /* not yet read by libcurl */
	enum stage stage;
	bool quit;
	char reply[REPLY_MAX + 1]; /* the last one, when it may be quoted */
	char error[CURL_ERROR_SIZE];
};

/* ---- what libcurl calls -------------------------------------------------------------------- */

static size_t read_cb(char *out, size_t size, size_t n, void *ctx)
{
	struct smtp *s = ctx;
	size_t most = size * n;

	if (most > s->rest.n)
		most = s->rest.n;
	memcpy(out, s->rest.p, most);
	s->rest = str_skip(s->rest, most);
	return most;
}

static int progress_cb(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
    curl_off_t ulnow)
{
	struct smtp *s = ctx;
	int64_t stop_at = s->stop_at;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	return stop_at != 0 && clock_mono() >= stop_at;
}

static enum stage stage_of(struct str command)
{
	static const struct {
		struct str verb;
		enum stage stage;
	} verbs[] = {
		{ STR("EHLO"), STAGE_HELLO }, { STR("HELO"), STAGE_HELLO }, { STR("STAR"), STAGE_HELLO },
		{ STR("MAIL"), STAGE_MAIL }, { STR("RCPT"), STAGE_RCPT }, { STR("DATA"), STAGE_DATA },
		{ STR("QUIT"), STAGE_QUIT },
	};

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (str_starts(command, verbs[i].verb))
			return verbs[i].stage;
	return STAGE_AUTH; /* AUTH, and the lines of its dialogue: they hold the password */
}

/* Only while the server can't quote the text or the password back at us. */
static void keep_reply(struct smtp *s, struct str line)
{
	size_t n = 0;

	if (s->stage != STAGE_DATA && s->stage != STAGE_AUTH)
		for (size_t i = 0; i < line.n && n < REPLY_MAX; i++)
			if (line.p[i] >= ' ' && line.p[i] < 0x7f)
				s->reply[n++] = line.p[i];
	s->reply[n] = '\0';
}

static int debug_cb(CURL *curl, curl_infotype type, char *data, size_t n, void *ctx)
{
	struct smtp *s = ctx;
	enum stage stage;

	(void)curl;
	if (type == CURLINFO_HEADER_IN && !s->quit) {
		keep_reply(s, str_n(data, n));
	} else if (type == CURLINFO_HEADER_OUT) {
		stage = stage_of(str_n(data, n));
		s->quit = stage == STAGE_QUIT;
		s->stage = s->quit ? s->stage : stage;
	}
	return 0;
}

/* ---- construction -------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

/* True when the URL has the part; *out (may be NULL) is curl_free'd by the caller. */
static bool url_part(CURLU *u, CURLUPart what, char **out)
{
	char *part = NULL;

	if (curl_url_get(u, what, &part, 0) != CURLUE_OK)
		return false;
	if (out != NULL)
		*out = part;
	else
		curl_free(part);
	return true;
}

/* *plain: the host is loopback and the scheme does not demand TLS. */
static enum err check_url(const char *url, bool *plain, struct fail *f)
{
	CURLU *u = curl_url();
	char *host = NULL;
	enum err e = OK;

	if (u == NULL)
		return fail_set(f, E_NOMEM, "no memory for the mail transport");
	if ((strncmp(url, "smtp://", 7) != 0 && strncmp(url, "smtps://", 8) != 0) ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK || !url_part(u, CURLUPART_HOST, &host))
		e = fail_set(f, E_CONFIG, "mail.url: must be spool:DIRECTORY, smtp://HOST[:PORT] or "
		    "smtps://HOST[:PORT]");
	else if (url_part(u, CURLUPART_USER, NULL) || url_part(u, CURLUPART_PASSWORD, NULL))
		e = fail_set(f, E_CONFIG, "mail.url: user and password belong in mail.user and "
		    "mail.password");
	else if (url_part(u, CURLUPART_QUERY, NULL) || url_part(u, CURLUPART_FRAGMENT, NULL))
		e = fail_set(f, E_CONFIG, "mail.url: has no query and no fragment");
	else
		*plain = strncmp(url, "smtp:", 5) == 0 && is_loopback(host);
	curl_free(host);
	curl_url_cleanup(u);
	return e;
}

static CURLcode set_tls(CURL *c, const struct mail_transport_config *k, bool plain)
{
	CURLcode rc = curl_easy_setopt(c, CURLOPT_USE_SSL,
	    (long)(plain ? CURLUSESSL_NONE : CURLUSESSL_ALL));

	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (rc == CURLE_OK && k->ca != NULL)
		rc = curl_easy_setopt(c, CURLOPT_CAINFO, k->ca);
	return rc;
}

static CURLcode set_user(CURL *c, const struct mail_transport_config *k)
{
	char password[1024];
	CURLcode rc;

	if (k->user == NULL)
		return CURLE_OK;
	if (k->password.n >= sizeof password)
		return CURLE_BAD_FUNCTION_ARGUMENT;
	memcpy(password, k->password.p, k->password.n);
	password[k->password.n] = '\0';
	rc = curl_easy_setopt(c, CURLOPT_USERNAME, k->user);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c, CURLOPT_PASSWORD, password);
	secret_wipe(password, sizeof password);
	return rc;
}

#define SET(option, value) \
	do { \
		CURLcode rc_ = curl_easy_setopt(c, option, value); \
		if (rc_ != CURLE_OK) \
			return rc_; \
	} while (0)

static CURLcode set_up(struct smtp *s, const struct mail_transport_config *k, bool plain)
{
	int64_t timeout = k->timeout_us > 0 ? k->timeout_us : TIMEOUT_DEFAULT;
	CURL *c = s->curl;
	CURLcode rc;

	SET(CURLOPT_URL, k->url);
	SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)(timeout / CLOCK_MS));
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)((timeout / 2 + CLOCK_SEC) / CLOCK_SEC));
	SET(CURLOPT_READFUNCTION, read_cb);
	SET(CURLOPT_READDATA, s);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, progress_cb);
	SET(CURLOPT_XFERINFODATA, s);
	SET(CURLOPT_VERBOSE, 1L); /* to debug_cb, nowhere else */
	SET(CURLOPT_DEBUGFUNCTION, debug_cb);
	SET(CURLOPT_DEBUGDATA, s);
	SET(CURLOPT_ERRORBUFFER, s->error);
	rc = set_tls(c, k, plain);
	return rc == CURLE_OK ? set_user(c, k) : rc;
}

enum err smtp_new(const struct mail_transport_config *k, struct smtp **out, struct fail *f)
{
	struct smtp *s;
	bool plain = false;
	enum err e = check_url(k->url, &plain, f);
	CURLcode rc;

	if (e != OK)
		return e;
	s = heap_zalloc(sizeof *s);
	if (s == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		heap_free(s);
		return fail_set(f, E_NOMEM, "no memory for the mail transport");
	}
	s->curl = curl_easy_init();
	rc = s->curl != NULL ? set_up(s, k, plain) : CURLE_OUT_OF_MEMORY;
	if (rc != CURLE_OK) {
		smtp_free(s);
		return fail_set(f, E_CONFIG, "mail.url: %s", curl_easy_strerror(rc));
	}
	*out = s;
	return OK;
}

/* libcurl says QUIT on the connection that it has kept, and would wait two minutes for the reply of a
 * server that hangs: with nothing left to read it does not. */
static void read_no_more(CURL *c)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (curl_easy_getinfo(c, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
		shutdown(fd, SHUT_RD);
}

void smtp_free(struct smtp *s)
{
	if (s == NULL)
		return;
	if (s->curl != NULL)
		read_no_more(s->curl);
	curl_easy_cleanup(s->curl);
	curl_global_cleanup();
	heap_free(s);
}

void smtp_stop(struct smtp *s)
{
	s->stop_at = clock_mono() + STOP_GRACE;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Which outcome a failed transfer is, and why. A refusal of our MAIL FROM is not this mail's fault:
 * it would refuse every other. */
static enum mail_outcome judge(struct smtp *s, CURLcode rc, struct fail *why)
{
	long code = 0;
	bool about_mail = s->stage == STAGE_RCPT || s->stage == STAGE_DATA;

	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &code);
	if (code < 400 || rc == CURLE_LOGIN_DENIED) {
		fail_set(why, E_UPSTREAM_FAILED, "%s", s->error[0] != '\0' ? s->error :
		    curl_easy_strerror(rc));
		return MAIL_UNREACHABLE;
	}
	if (s->reply[0] != '\0')
		fail_set(why, E_UPSTREAM_FAILED, "the server says: %s", s->reply);
	else
		fail_set(why, E_UPSTREAM_FAILED, "the server answers %ld", code);
	if (!about_mail || code == 421) /* 421: it closes the connection */
		return MAIL_UNREACHABLE;
	return code >= 500 ? MAIL_REFUSED : MAIL_DEFERRED;
}

enum mail_outcome smtp_send(struct smtp *s, const struct mail_envelope *m, struct fail *why)
{
	char from[PATH_MAX_SMTP], to[PATH_MAX_SMTP];
	struct curl_slist *rcpt;
	CURLcode rc;

	snprintf(from, sizeof from, "<%.*s>", STR_ARG(m->sender));
	snprintf(to, sizeof to, "<%.*s>", STR_ARG(m->recipient));
	rcpt = curl_slist_append(NULL, to);
	if (rcpt == NULL) {
		fail_set(why, E_NOMEM, "no memory for a mail");
		return MAIL_UNREACHABLE;
	}
	s->rest = m->message;
	s->stage = STAGE_HELLO;
	s->quit = false;
	s->reply[0] = s->error[0] = '\0';
	curl_easy_setopt(s->curl, CURLOPT_MAIL_FROM, from);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, rcpt);
	curl_easy_setopt(s->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)m->message.n);
	rc = curl_easy_perform(s->curl);
	curl_easy_setopt(s->curl, CURLOPT_MAIL_RCPT, NULL);
	curl_slist_free_all(rcpt);
	s->rest = STR_NONE;
	return rc == CURLE_OK ? MAIL_SENT : judge(s, rc, why);
}
