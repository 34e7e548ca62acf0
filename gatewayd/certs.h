/* The certificates of the process, as the configuration names them: what listeners show and ask for, and
 * what connections to nodes show and trust. Loaded by the main thread, at start and at SIGHUP; a worker
 * takes references of its own. */
#ifndef GATEWAYD_CERTS_H
#define GATEWAYD_CERTS_H

#include <stdint.h>

#include "base/err.h"

struct buf;
struct config;
struct tls_client;
struct tls_server;

struct certs {
	struct tls_server *listeners; /* NULL: plaintext */
	struct tls_client *nodes;
};

/* All of them, or none. E_CONFIG names key and file. */
enum err certs_load(const struct config *c, struct certs *out, struct fail *f);
struct certs certs_ref(const struct certs *c);
void certs_unref(struct certs *c);
/* SIGHUP may exchange certificates, but open connections and clients do not expect a listener to change
 * between plaintext and TLS. E_CONFIG. */
enum err certs_check_reload(const struct config *old, const struct config *next, struct fail *f);
/* When the certificates expire that clients and nodes are shown, wall, microseconds; 0: none is. */
void certs_expiry(const struct certs *c, int64_t *clients, int64_t *nodes);
void certs_write_metrics(const struct certs *c, struct buf *out);

#endif
