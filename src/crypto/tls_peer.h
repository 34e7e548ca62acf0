/* The certificate that the peer of a TLS session has shown, and whether it may: a node must bear
 * the name that was dialled (RFC 9525), a caller must be allowed to be a client. A tls_peer is
 * reference-counted and may outlive its session; one thread at a time reads it. */
#ifndef CRYPTO_TLS_PEER_H
#define CRYPTO_TLS_PEER_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

struct gnutls_x509_crt_int;

struct tls_peer {
	unsigned refs; /* of one thread */
	struct gnutls_x509_crt_int *crt;
	int64_t expires; /* wall, microseconds */
};

/* 0 or an error of GnuTLS; *out is set, to be let go, also when the certificate could not be read. */
int tls_peer_new(const gnutls_datum_t *der, struct tls_peer **out);
void tls_peer_unref(struct tls_peer *p); /* NULL allowed */

/* In the verify function of a session. 0 with *status (GNUTLS_CERT_*, 0: good), or an error of GnuTLS.
 * host: a name or an address. */
int tls_peer_verify_node(gnutls_session_t g, const struct tls_peer *p, const char *host, unsigned *status);
int tls_peer_verify_caller(gnutls_session_t g, unsigned *status);

/* Whether the host is an address, whose bytes are then a view of `out`. */
bool tls_host_is_address(const char *host, gnutls_datum_t *bytes, unsigned char out[16]);

#endif
