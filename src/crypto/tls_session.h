/* TLS on a connected non-blocking socket, from either side, for a loop with edge-triggered events. Bytes are
 * moved in few system calls: one read brings in many records, and the records of one write leave together.
 *
 * The socket is the caller's: this neither closes it nor waits. What a session writes and the socket does
 * not take, the session keeps until tls_session_flush. One thread: that of the buffers. */
#ifndef CRYPTO_TLS_SESSION_H
#define CRYPTO_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/str.h"

struct gnutls_session_int;
struct tls_buffers;
struct tls_client;
struct tls_peer;
struct tls_server;
struct tls_session;

/* Forward secrecy and AEAD only, no SHA-1, no finite-field groups (slow, and the client chooses). */
#define TLS_PRIORITY \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:" \
	"-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:-MAC-ALL:+AEAD:" \
	"-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:" \
	"-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:" \
	"%SERVER_PRECEDENCE"

/* What sessions of one thread share while one of them reads or writes. */
enum err tls_buffers_new(struct tls_buffers **out);
void tls_buffers_free(struct tls_buffers *b);

/* Application protocols (RFC 7301). */
enum tls_alpn {
	TLS_HTTP1, /* "http/1.1"; a client that names none is welcome, one that names only others is not */
	TLS_HTTP2  /* "h2", which both sides must name (RFC 9113, 3.2) */
};

/* A session on a connected socket, before its handshake. Takes a reference of t. E_NOMEM. */
enum err tls_session_accept(struct tls_server *t, struct tls_buffers *b, int fd, enum tls_alpn alpn,
    struct tls_session **out);
/* host: the name or address that the peer's certificate must bear (RFC 9525); kept by the caller. */
enum err tls_session_connect(struct tls_client *t, struct tls_buffers *b, int fd, const char *host,
    enum tls_alpn alpn, struct tls_session **out);
void tls_session_free(struct tls_session *s); /* NULL allowed */

enum tls_step { TLS_DONE, TLS_GOING, TLS_FAILED };
/* Goes on with the handshake; again at the next event of the socket, whichever it is. */
enum tls_step tls_session_handshake(struct tls_session *s);
/* Of a handshake that is done: it took up an earlier session, so that no certificate was sent. */
bool tls_session_resumed(const struct tls_session *s);
/* Why the session failed, for the log: a static text, or one in `text`. */
const char *tls_session_error(const struct tls_session *s, char text[256]);

enum { TLS_AGAIN = -1, TLS_ERROR = -2 };
/* Bytes read; 0 at the peer's close_notify; TLS_AGAIN; TLS_ERROR, also for a stream that is cut off without
 * close_notify. A short count means that the socket was empty, or that the end is behind it
 * (tls_session_ended). */
ssize_t tls_session_read(struct tls_session *s, void *p, size_t n);
/* An end or an error was found behind bytes that were returned: the next read tells. */
bool tls_session_ended(const struct tls_session *s);
/* The next read returns something without the socket: bytes, or an end. */
bool tls_session_holds(const struct tls_session *s);
/* Bytes taken; TLS_AGAIN: none before the socket takes what waits. A short count means that the socket is
 * full; of what was taken the last may wait (tls_session_unflushed). */
ssize_t tls_session_writev(struct tls_session *s, const struct iovec *iov, int n);
/* Sends what waits. False: the socket is broken. */
bool tls_session_flush(struct tls_session *s);
bool tls_session_unflushed(const struct tls_session *s);
/* Says close_notify, if the socket takes it. */
void tls_session_bye(struct tls_session *s);

/* A reference to the peer's verified certificate (tls_peer.h), or NULL when there is none. */
struct tls_peer *tls_session_peer(struct tls_session *s);

/* For credentials: what the peer's certificate must satisfy. */
int tls_session_verify(struct gnutls_session_int *s);

#endif
