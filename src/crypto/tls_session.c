#include "crypto/tls_session.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/heap.h"
#include "crypto/tls_client.h"
#include "crypto/tls_peer.h"
#include "crypto/tls_server.h"

#define RECORD_MAX 16384
#define WRITE_MAX (4 * RECORD_MAX) /* plaintext of one write to the socket */
#define IN_MAX (32u << 10)         /* of one read from the socket */
#define OUT_MAX (WRITE_MAX + 1024) /* the same as records */
#define WAITING_MAX (1u << 20)
/* Records may be empty, or warnings: a peer that sends them faster than they are read would keep its reader
 * for ever. So there is a bound. */
#define NOISE_MAX (256u << 10) /* bytes of a whole handshake, or of records without content */
#define NOISE_PAID 64          /* bytes of that which a byte of content makes up for */

struct tls_buffers {
	char in[IN_MAX];       /* as read from the socket */
	char plain[RECORD_MAX]; /* small pieces, gathered for one record */
	char out[OUT_MAX];     /* records, gathered for one write to the socket */
	size_t out_n;
};

struct tls_session {
	gnutls_session_t g;
	struct tls_buffers *b;
	struct tls_server *server; /* a reference; one of the two */
	struct tls_client *client;
	int fd;
	enum tls_alpn alpn;
	const char *host;   /* client: whom the certificate must name */
	struct tls_peer *peer;
	char *in, *kept;    /* read and not asked for yet: in b->in, or in kept, which is owned */
	size_t in_n;
	size_t noise;       /* bytes */
	char *waiting;      /* owned: what the socket did not take */
	size_t waiting_at, waiting_n;
	unsigned verify_status; /* GNUTLS_CERT_* of a certificate that was refused */
	int error;          /* of GnuTLS, once broken */
	bool established;
	bool verified;      /* a certificate was */
	bool drained;       /* the socket was read until it was empty */
	bool gathering;     /* more records follow at once */
	bool ended;         /* close_notify was read */
	bool broken;
};

enum err tls_buffers_new(struct tls_buffers **out)
{
	*out = heap_alloc(sizeof **out);
	if (*out == NULL)
		return E_NOMEM;
	(*out)->out_n = 0;
	return OK;
}

void tls_buffers_free(struct tls_buffers *b)
{
	heap_free(b);
}

static void fail_session(struct tls_session *s, int error)
{
	if (!s->broken)
		s->error = error;
	s->broken = true;
}

/* ---- from the socket ----------------------------------------------------------------------- */

static void unkeep(struct tls_session *s)
{
	heap_free(s->kept);
	s->kept = NULL;
}

/* The buffer is about to be another session's: what GnuTLS has not asked for yet is put aside. */
static void keep_input(struct tls_session *s)
{
	if (s->in_n == 0 || s->kept != NULL)
		return;
	s->kept = heap_dup(s->in, s->in_n);
	if (s->kept == NULL)
		fail_session(s, GNUTLS_E_MEMORY_ERROR);
	s->in = s->kept;
}

/* One read. False: there is nothing now, or never again (*n tells). */
static bool refill(struct tls_session *s, ssize_t *n)
{
	unkeep(s);
	do
		*n = s->drained ? -1 : recv(s->fd, s->b->in, sizeof s->b->in, 0);
	while (*n < 0 && !s->drained && errno == EINTR);
	if (s->drained)
		errno = EAGAIN;
	/* a short read has emptied the socket; in a handshake that is not worth relying on */
	s->drained = *n < 0 || (s->established && (size_t)*n < sizeof s->b->in);
	s->in = s->b->in;
	s->in_n = *n > 0 ? (size_t)*n : 0;
	return *n > 0;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *p, size_t n)
{
	struct tls_session *s = arg;
	ssize_t k;

	if (s->in_n == 0 && !refill(s, &k)) {
		gnutls_transport_set_errno(s->g, errno);
		return k;
	}
	if (n > s->in_n)
		n = s->in_n;
	memcpy(p, s->in, n);
	s->in += n;
	s->in_n -= n;
	s->noise += n;
	if (s->noise <= NOISE_MAX)
		return (ssize_t)n;
	gnutls_transport_set_errno(s->g, EPROTO);
	return -1;
}

static void content_came(struct tls_session *s, size_t n)
{
	s->noise -= n * NOISE_PAID < s->noise ? n * NOISE_PAID : s->noise;
}

/* ---- to the socket ------------------------------------------------------------------------- */

/* Appends to what waits. */
static bool await(struct tls_session *s, struct str bytes)
{
	char *p;

	if (bytes.n == 0)
		return true;
	if (s->waiting_n + bytes.n > WAITING_MAX)
		return false;
	p = heap_realloc(s->waiting, s->waiting_n + bytes.n);
	if (p == NULL)
		return false;
	memcpy(p + s->waiting_n, bytes.p, bytes.n);
	s->waiting = p;
	s->waiting_n += bytes.n;
	return true;
}

/* Sends what was gathered and `last`, or lets it wait. */
static bool emit(struct tls_session *s, struct str last)
{
	struct str gathered = { s->b->out, s->b->out_n };
	struct iovec iov[2] = { { s->b->out, gathered.n }, { (char *)last.p, last.n } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t k = 0;
	size_t sent;

	s->b->out_n = 0;
	if (s->waiting_n == 0) {
		do
			k = sendmsg(s->fd, &m, MSG_NOSIGNAL);
		while (k < 0 && errno == EINTR);
		if (k < 0 && errno != EAGAIN)
			return false;
	}
	sent = k > 0 ? (size_t)k : 0;
	if (sent < gathered.n)
		return await(s, str_skip(gathered, sent)) && await(s, last);
	return await(s, str_skip(last, sent - gathered.n));
}

static bool gather(struct tls_session *s, struct str piece)
{
	struct tls_buffers *b = s->b;

	if (piece.n > sizeof b->out - b->out_n)
		return emit(s, piece);
	memcpy(b->out + b->out_n, piece.p, piece.n);
	b->out_n += piece.n;
	return true;
}

/* Takes everything: GnuTLS never has to be told to try again. */
static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *iov, int n)
{
	struct tls_session *s = arg;
	ssize_t total = 0;
	bool ok = true;

	for (int i = 0; i < n && ok; i++) {
		struct str piece = { iov[i].iov_base, iov[i].iov_len };

		ok = s->gathering || i + 1 < n ? gather(s, piece) : emit(s, piece);
		total += (ssize_t)piece.n;
	}
	if (ok)
		return total;
	fail_session(s, GNUTLS_E_PUSH_ERROR);
	gnutls_transport_set_errno(s->g, EPIPE);
	return -1;
}

bool tls_session_flush(struct tls_session *s)
{
	while (s->waiting_n > s->waiting_at) {
		ssize_t k = send(s->fd, s->waiting + s->waiting_at, s->waiting_n - s->waiting_at,
		    MSG_NOSIGNAL);

		if (k < 0 && errno == EAGAIN)
			return !s->broken;
		if (k < 0 && errno != EINTR) {
			fail_session(s, GNUTLS_E_PUSH_ERROR);
			return false;
		}
		s->waiting_at += k > 0 ? (size_t)k : 0;
	}
	if (s->waiting != NULL) {
		heap_free(s->waiting);
		s->waiting = NULL;
		s->waiting_at = s->waiting_n = 0;
	}
	return !s->broken;
}

bool tls_session_unflushed(const struct tls_session *s)
{
	return s->waiting_n > 0;
}

/* ---- making -------------------------------------------------------------------------------- */

/* RFC 7301, 3.2: refused when nothing that the client names is spoken here; on HTTP/2 also when it names
 * nothing. Called when a ClientHello was read. */
static int check_alpn(gnutls_session_t g, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *msg)
{
	const struct tls_session *s = gnutls_session_get_ptr(g);
	gnutls_datum_t chosen;

	(void)type;
	(void)when;
	(void)incoming;
	(void)msg;
	if (s->alpn == TLS_HTTP2 && gnutls_alpn_get_selected_protocol(g, &chosen) < 0)
		return GNUTLS_E_NO_APPLICATION_PROTOCOL;
	return 0;
}

static int set_alpn(gnutls_session_t g, enum tls_alpn alpn)
{
	static const gnutls_datum_t names[] = {
		[TLS_HTTP1] = { (unsigned char *)"http/1.1", 8 },
		[TLS_HTTP2] = { (unsigned char *)"h2", 2 },
	};

	return gnutls_alpn_set_protocols(g, &names[alpn], 1, GNUTLS_ALPN_MANDATORY);
}

static enum err make(struct tls_buffers *b, int fd, enum tls_alpn alpn, unsigned flags,
    struct tls_session **out)
{
	struct tls_session *s = heap_zalloc(sizeof *s);

	if (s == NULL)
		return E_NOMEM;
	s->b = b;
	s->fd = fd;
	s->alpn = alpn;
	if (gnutls_init(&s->g, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS_TLS12) < 0 ||
	    set_alpn(s->g, alpn) < 0) {
		tls_session_free(s);
		return E_NOMEM;
	}
	gnutls_session_set_ptr(s->g, s);
	gnutls_transport_set_ptr(s->g, s);
	gnutls_transport_set_pull_function(s->g, pull);
	gnutls_transport_set_vec_push_function(s->g, push);
	/* the connection has a limit of its own, and GnuTLS would need to wait for the socket to keep its */
	gnutls_handshake_set_timeout(s->g, GNUTLS_INDEFINITE_TIMEOUT);
	*out = s;
	return OK;
}

enum err tls_session_accept(struct tls_server *t, struct tls_buffers *b, int fd, enum tls_alpn alpn,
    struct tls_session **out)
{
	struct tls_session *s;
	enum err e = make(b, fd, alpn, GNUTLS_SERVER, &s);

	if (e != OK)
		return e;
	s->server = tls_server_ref(t);
	if (tls_server_equip(t, s->g) < 0) {
		tls_session_free(s);
		return E_NOMEM;
	}
	gnutls_handshake_set_hook_function(s->g, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST,
	    check_alpn);
	*out = s;
	return OK;
}

enum err tls_session_connect(struct tls_client *t, struct tls_buffers *b, int fd, const char *host,
    enum tls_alpn alpn, struct tls_session **out)
{
	struct tls_session *s;
	/* the certificate is shown whichever authorities the node names: it was configured for it */
	enum err e = make(b, fd, alpn, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT, &s);
	unsigned char address[16];
	gnutls_datum_t bytes;

	if (e != OK)
		return e;
	s->client = tls_client_ref(t);
	s->host = host;
	if (tls_client_equip(t, s->g) < 0 || /* RFC 6066, 3: addresses are not named */
	    (!tls_host_is_address(host, &bytes, address) &&
	    gnutls_server_name_set(s->g, GNUTLS_NAME_DNS, host, strlen(host)) < 0)) {
		tls_session_free(s);
		return E_NOMEM;
	}
	*out = s;
	return OK;
}

void tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	if (s->g != NULL)
		gnutls_deinit(s->g);
	tls_peer_unref(s->peer);
	tls_server_unref(s->server);
	tls_client_unref(s->client);
	unkeep(s);
	heap_free(s->waiting);
	heap_free(s);
}

/* ---- certificates of the peer -------------------------------------------------------------- */

struct tls_peer *tls_session_peer(struct tls_session *s)
{
	if (s->peer != NULL)
		s->peer->refs++;
	return s->peer;
}

/* When certificates of the peer have come; not in a session that is resumed. */
int tls_session_verify(gnutls_session_t g)
{
	struct tls_session *s = gnutls_session_get_ptr(g);
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(g, &n);
	int k;

	if (n == 0)
		return s->host != NULL ? GNUTLS_E_NO_CERTIFICATE_FOUND : 0;
	if (s->peer != NULL) /* no second time */
		return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	k = tls_peer_new(&chain[0], &s->peer);
	if (k >= 0)
		k = s->host != NULL ? tls_peer_verify_node(g, s->peer, s->host, &s->verify_status) :
		    tls_peer_verify_caller(g, &s->verify_status);
	if (k < 0)
		return k;
	s->verified = s->verify_status == 0;
	return s->verified ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* ---- the handshake ------------------------------------------------------------------------- */

static int check_result(struct tls_session *s)
{
	gnutls_datum_t chosen;
	int k = 0;

	if (s->alpn == TLS_HTTP2 && gnutls_alpn_get_selected_protocol(s->g, &chosen) < 0)
		return GNUTLS_E_NO_APPLICATION_PROTOCOL;
	/* a ticket brings back the certificate of its first session, which may have expired since */
	if (s->server != NULL && !s->verified)
		k = tls_session_verify(s->g);
	if (s->client != NULL && !s->verified)
		k = GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
	return k;
}

/* Whether GnuTLS only wants to be called again. */
static bool passing(const struct tls_session *s, ssize_t k)
{
	if (k == GNUTLS_E_AGAIN) /* it dealt with a message of its own, or there is nothing more to read */
		return !s->drained || s->in_n > 0;
	return k == GNUTLS_E_INTERRUPTED || k == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

enum tls_step tls_session_handshake(struct tls_session *s)
{
	int k;

	if (!tls_session_flush(s))
		return TLS_FAILED;
	s->drained = false;
	do
		k = gnutls_handshake(s->g);
	while (passing(s, k));
	keep_input(s);
	if (k == GNUTLS_E_AGAIN && !s->broken)
		return TLS_GOING;
	if (k >= 0)
		k = check_result(s);
	if (k >= 0 && !s->broken) {
		s->established = true;
		s->noise = 0;
		return TLS_DONE;
	}
	(void)gnutls_alert_send_appropriate(s->g, k);
	fail_session(s, k);
	return TLS_FAILED;
}

bool tls_session_resumed(const struct tls_session *s)
{
	return gnutls_session_is_resumed(s->g) != 0;
}

const char *tls_session_error(const struct tls_session *s, char text[256])
{
	gnutls_datum_t why = { 0 };

	if (s->verify_status != 0 && gnutls_certificate_verification_status_print(s->verify_status,
	    GNUTLS_CRT_X509, &why, 0) == 0) {
		snprintf(text, 256, "%s", (const char *)why.data);
		gnutls_free(why.data);
		return text;
	}
	if (s->error != GNUTLS_E_FATAL_ALERT_RECEIVED)
		return gnutls_strerror(s->error);
	snprintf(text, 256, "the peer refuses: %s", gnutls_alert_get_name(gnutls_alert_get(s->g)));
	return text;
}

/* ---- records ------------------------------------------------------------------------------- */

/* What stopped the reading. */
static void read_ended(struct tls_session *s, ssize_t k)
{
	if (k == 0) {
		s->ended = true;
	} else if (k < 0 && k != GNUTLS_E_AGAIN) {
		/* also GNUTLS_E_REHANDSHAKE: nobody renegotiates here */
		(void)gnutls_alert_send_appropriate(s->g, (int)k);
		fail_session(s, (int)k);
	}
}

ssize_t tls_session_read(struct tls_session *s, void *p, size_t n)
{
	size_t have = 0;
	ssize_t k = 1;

	if (s->broken || s->ended)
		return s->broken ? TLS_ERROR : 0;
	s->drained = false;
	while (have < n && (k > 0 || passing(s, k))) {
		k = gnutls_record_recv(s->g, (char *)p + have, n - have);
		have += k > 0 ? (size_t)k : 0;
		content_came(s, k > 0 ? (size_t)k : 0);
	}
	keep_input(s);
	read_ended(s, k);
	if (have > 0)
		return (ssize_t)have;
	return s->broken ? TLS_ERROR : s->ended ? 0 : TLS_AGAIN;
}

bool tls_session_ended(const struct tls_session *s)
{
	return s->ended || s->broken;
}

bool tls_session_holds(const struct tls_session *s)
{
	return s->ended || s->broken || s->in_n > 0 || gnutls_record_check_pending(s->g) > 0;
}

/* A place in an array of buffers. */
struct cursor {
	const struct iovec *iov;
	size_t at; /* in iov[0] */
};

/* The next k bytes, in one piece: where they are, or gathered in `to`. */
static const char *next_piece(struct cursor *c, size_t k, char *to)
{
	size_t have = 0;

	while (c->at == c->iov->iov_len) {
		c->iov++;
		c->at = 0;
	}
	if (c->iov->iov_len - c->at >= k) {
		c->at += k;
		return (char *)c->iov->iov_base + c->at - k;
	}
	while (have < k) {
		size_t left = c->iov->iov_len - c->at, m = left < k - have ? left : k - have;

		memcpy(to + have, (char *)c->iov->iov_base + c->at, m);
		have += m;
		c->at += m;
		if (c->at == c->iov->iov_len && have < k) {
			c->iov++;
			c->at = 0;
		}
	}
	return to;
}

/* The record's size, which the peer may have limited (RFC 8449). */
static size_t record_size(const struct tls_session *s)
{
	size_t max = gnutls_record_get_max_size(s->g);

	return max < RECORD_MAX ? max : RECORD_MAX;
}

/* As many records as leave in one write to the socket. */
static bool write_batch(struct tls_session *s, struct cursor *c, size_t n)
{
	size_t max = record_size(s), done = 0;

	while (done < n) {
		size_t k = n - done < max ? n - done : max;
		const char *p = next_piece(c, k, s->b->plain);

		s->gathering = done + k < n;
		if (gnutls_record_send(s->g, p, k) != (ssize_t)k) {
			s->gathering = false;
			s->b->out_n = 0;
			fail_session(s, GNUTLS_E_PUSH_ERROR);
			return false;
		}
		done += k;
	}
	return true;
}

ssize_t tls_session_writev(struct tls_session *s, const struct iovec *iov, int n)
{
	struct cursor c = { iov, 0 };
	size_t total = 0, done = 0;

	if (!tls_session_flush(s))
		return TLS_ERROR;
	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	while (done < total && !tls_session_unflushed(s)) {
		size_t k = total - done < WRITE_MAX ? total - done : WRITE_MAX;

		if (!write_batch(s, &c, k))
			return TLS_ERROR;
		done += k;
	}
	return done > 0 || total == 0 ? (ssize_t)done : TLS_AGAIN;
}

void tls_session_bye(struct tls_session *s)
{
	if (s->established && !s->broken && tls_session_flush(s) && !tls_session_unflushed(s))
		(void)gnutls_bye(s->g, GNUTLS_SHUT_WR);
}
