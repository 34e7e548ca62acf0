/* TLS towards nodes: credentials of one worker, and the client side of handshakes. The node's certificate
 * must lead to a trusted CA and name the host that was dialled (RFC 9525); TLS 1.2 and 1.3 only. Worker
 * thread. */
#ifndef UPSTREAM_TLS_H
#define UPSTREAM_TLS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct gnutls_session_int;
struct upstream_tls;

/* One session on a socket, which is the caller's. */
struct tls_wire {
	struct gnutls_session_int *session;
	int fd;
	bool drained; /* the last read from the socket found it empty */
};

/* Files in PEM. ca NULL: the system's, read at the first use. cert and key NULL: no client certificate.
 * E_CONFIG, with the reason in the log. */
enum err upstream_tls_new(const char *ca, const char *cert, const char *key, struct upstream_tls **out);
void upstream_tls_free(struct upstream_tls *t);
/* A session on a connected socket. h2: ALPN is "h2" and nothing else. E_NOMEM, E_CONFIG. */
enum err upstream_tls_session(struct upstream_tls *t, int fd, struct str host, bool h2,
    struct tls_wire **out);
void tls_wire_free(struct tls_wire *w); /* NULL allowed */

enum tls_step { TLS_DONE, TLS_AGAIN, TLS_FAILED };
/* Goes on with the handshake; the reason of a failure is logged. */
enum tls_step tls_wire_handshake(struct tls_wire *w, struct str host, bool h2);

#endif
