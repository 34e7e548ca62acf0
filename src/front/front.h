/* The door: listeners, HTTP/1.1 and HTTP/2 (nghttp2). Turns bytes into requests that
 * are well-formed beyond doubt, hands them to api_start, and sends what comes back. Everything
 * irregular is answered with the envelope or a closed connection here.
 *
 * Each worker has its own front on its own sockets (SO_REUSEPORT); only its thread calls. */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct api;
struct crew;
struct front;
struct gate;
struct loop;
struct obs_worker;
struct peers;
struct tls_server;

struct front_limits {
	size_t body, headers, header_count;
	int64_t header_timeout_us, body_timeout_us, idle_timeout_us;
};

/* A bound socket; made once per listener by front_bind, then one SO_REUSEPORT sibling per worker.
 * E_CONFIG when another program, or another gateway, listens at the address. */
enum err front_bind(const char *address, int *fd, struct sockaddr_storage *bound, struct fail *f);
enum err front_bind_sibling(const struct sockaddr_storage *bound, int *fd, struct fail *f);

struct front_config {
	int http_fd, grpc_fd, admin_fd; /* listening sockets of this worker; taken; -1: none */
	struct crew *http_crew, *grpc_crew; /* with those of other workers; NULL: none */
	struct peers *peers; /* of the process, as */
	struct gate *gate;   /* ... this; both outlive what is made with them */
	struct front_limits limits;
};
enum err front_new(const struct front_config *c, struct loop *loop, struct api *api,
    struct obs_worker *obs, struct front **out, struct fail *f);
/* What connections that come from now on speak: TLS as t says (takes the reference), or plaintext when t is
 * NULL, as at first. */
void front_set_tls_take(struct front *fr, struct tls_server *t);
/* Sizes and counts as `l` says, from the next request on; its times stay as they were. */
void front_configure(struct front *fr, const struct front_limits *l);
/* Stops accepting; connections close as they become idle (HTTP/2: GOAWAY). `idle` is called on the worker
 * when the last request has ended and its answer has gone: when all connections have closed, or a little
 * later. */
void front_drain(struct front *fr, void (*idle)(void *arg), void *arg);
/* Closes everything at once. */
void front_free(struct front *fr);

#endif
