/* HTTP towards several gateways that are equal: one is picked at random and kept while it answers; on
 * a transport failure or a 5xx the next is tried, never on a 4xx. Blocking, on libcurl. What it does
 * not do: credentials beyond passing them on, or reading what bodies mean (client.h does).
 * One thread for each struct. */
#ifndef CLIENT_HTTP_H
#define CLIENT_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct http_client;

struct http_client_config {
	const char *servers; /* "http://a:8081,https://b" */
	const char *ca;      /* PEM file; NULL: the system's */
	const char *user_agent;
	int64_t timeout_us; /* of one try; 0: 30 s */
};

struct http_request {
	const char *method, *path; /* path with its query, from "/" */
	struct str body;
	const char *content_type; /* of the body */
	struct str bearer;        /* empty: none */
	const char *if_match, *idempotency_key; /* NULL: none */
};

struct http_reply {
	int status;
	struct buf body;
	char etag[128], request_id[129]; /* empty: none */
	int retry_after;                 /* seconds; 0: none */
};

#define HTTP_REPLY_MAX (64u << 20)

/* E_USAGE for addresses that are not http or https, or that carry a password. */
enum err http_client_new(const struct http_client_config *c, struct http_client **out,
    struct fail *f);
void http_client_free(struct http_client *h);
size_t http_client_servers(const struct http_client *h);
/* The i-th address, without a slash at its end. */
const char *http_client_server(const struct http_client *h, size_t i);

/* OK for every answer, whatever its status; E_UNREACHABLE when no gateway gave one. The reply is the
 * caller's to initialise with http_reply_init; it may be used again. */
enum err http_call(struct http_client *h, const struct http_request *q, struct http_reply *r,
    struct fail *f);
void http_reply_init(struct http_reply *r);
void http_reply_release(struct http_reply *r);

#endif
