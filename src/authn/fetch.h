/* One HTTP exchange with a server of somebody else (an OpenID provider, an issuer), by libcurl and held
 * to limits: https, or http to loopback alone; TLS 1.2 and a certificate that verifies; no redirects, no
 * proxy, no compression; a time for all of it; a size past which it is broken off. Nothing of it is
 * logged here: bodies carry codes and tokens, and are wiped.
 *
 * A fetch belongs to one thread at a time. It blocks in fetch_run; whoever must not block adds
 * fetch_handle to a multi handle of its own. */
#ifndef AUTHN_FETCH_H
#define AUTHN_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct fetch;

struct fetch_limits {
	const char *ca;     /* PEM file of authorities; NULL: the system's */
	int64_t timeout_us; /* of the exchange; 0: 5 s */
	size_t max;         /* bytes of the answer */
};

/* Whether it is an http or https URL in visible ASCII, with a host, without user, password or fragment. */
bool fetch_url_valid(const char *url);
/* Whether it may be fetched besides: https, or http to loopback (127.0.0.0/8, ::1, localhost). */
bool fetch_url_allowed(const char *url);

enum err fetch_new(const struct fetch_limits *l, struct fetch **out);
void fetch_free(struct fetch *x);

/* Prepares the next exchange; url has been checked with fetch_url_allowed. form (.p NULL: a GET) is
 * application/x-www-form-urlencoded, copied. authorization: the field's value, or STR_NONE. E_NOMEM. */
enum err fetch_prepare(struct fetch *x, const char *url, struct str form, struct str authorization);
/* The CURL handle, prepared. */
void *fetch_handle(struct fetch *x);
/* What the exchange came to: OK with any status but 3xx and 5xx. E_UPSTREAM_FAILED with libcurl's reason
 * or the status. curl_code: as libcurl gave it. */
enum err fetch_outcome(struct fetch *x, int curl_code, struct fail *f);
/* The exchange, now: fetch_outcome. */
enum err fetch_run(struct fetch *x, struct fail *f);

int fetch_status(const struct fetch *x);
/* Until the next fetch_prepare. */
struct str fetch_body(const struct fetch *x);
/* How long the answer is fresh by Cache-Control and Age (RFC 9111, 4.2), in seconds; 0: not at all; -1: it
 * does not say. */
int64_t fetch_max_age(const struct fetch *x);

#endif
