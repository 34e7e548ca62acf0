/* What listeners need for TLS: certificate chain, key, the authorities of client certificates, the key of
 * session tickets. An immutable, reference-counted snapshot: SIGHUP makes a new one, connections keep the
 * one they began with.
 *
 * TLS 1.2 and 1.3, with forward secrecy and AEAD only; resumption by tickets in 1.3 only, where a new key
 * exchange goes with it. Tickets end with the snapshot: what it trusted, its successor may not.
 * Any thread may use one that it holds a reference of. */
#ifndef CRYPTO_TLS_SERVER_H
#define CRYPTO_TLS_SERVER_H

#include <stdint.h>

#include "base/err.h"

struct tls_server;

/* Files in PEM. client_ca NULL: no client certificate is asked for. Failures name the file. E_CONFIG,
 * E_NOMEM. A certificate that has expired is warned of in the log. `now`: wall, microseconds. */
enum err tls_server_load(const char *cert, const char *key, const char *client_ca, int64_t now,
    struct tls_server **out, struct fail *f);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t);
/* When the certificate expires, wall, microseconds. */
int64_t tls_server_expires(const struct tls_server *t);

/* tls_session.c: readies a gnutls_session_t. 0 or an error of GnuTLS. */
struct gnutls_session_int;
int tls_server_equip(struct tls_server *t, struct gnutls_session_int *s);

#endif
