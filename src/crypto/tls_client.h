/* What connections to nodes need for TLS: the authorities that nodes are held to, and the certificate that
 * the gateway shows. A snapshot, reference-counted. The node's certificate must lead to one of the
 * authorities and name the host that was dialled; nothing switches that off. Any thread may use one that it
 * holds a reference of. */
#ifndef CRYPTO_TLS_CLIENT_H
#define CRYPTO_TLS_CLIENT_H

#include <stdint.h>

#include "base/err.h"

struct tls_client;

/* Files in PEM. ca NULL: the system's authorities, which are read at the first use; there may be none, then
 * every node is refused. cert and key NULL: no certificate is shown. Failures name the file. E_CONFIG,
 * E_NOMEM. `now`: wall, microseconds. */
enum err tls_client_load(const char *ca, const char *cert, const char *key, int64_t now,
    struct tls_client **out, struct fail *f);
struct tls_client *tls_client_ref(struct tls_client *t);
void tls_client_unref(struct tls_client *t);
/* When the certificate that nodes are shown expires, wall, microseconds; 0: none is shown. */
int64_t tls_client_expires(const struct tls_client *t);

/* tls_session.c: readies a gnutls_session_t. 0 or an error of GnuTLS. */
struct gnutls_session_int;
int tls_client_equip(struct tls_client *t, struct gnutls_session_int *s);

#endif
