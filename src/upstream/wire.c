#include "upstream/wire.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream/tls.h"

/* ---- TLS --------------------------------------------------------------------------------------- */

/* Whether to call again: interrupted, or busy with a message of its own. */
static bool passing(const struct wire *w, ssize_t k)
{
	if (k == GNUTLS_E_AGAIN)
		return !w->tls->drained;
	return k < 0 && !gnutls_error_is_fatal((int)k);
}

/* One record at a time until the socket is empty, as callers with edge-triggered events need it. */
static ssize_t tls_read(struct wire *w, char *p, size_t n)
{
	size_t have = 0;
	ssize_t k;

	w->ended = false;
	do {
		k = gnutls_record_recv(w->tls->session, p + have, n - have);
		if (k > 0)
			have += (size_t)k;
	} while ((k > 0 && have < n) || passing(w, k));
	if (have == 0)
		return k == 0 ? 0 : k == GNUTLS_E_AGAIN ? WIRE_AGAIN : WIRE_ERROR;
	w->ended = k <= 0 && k != GNUTLS_E_AGAIN;
	return (ssize_t)have;
}

static ssize_t tls_writev(struct wire *w, const struct iovec *iov, int n)
{
	size_t total = 0;

	gnutls_record_cork(w->tls->session); /* head and body in as few records as possible */
	for (int i = 0; i < n; i++)
		for (size_t at = 0; at < iov[i].iov_len;) {
			ssize_t k = gnutls_record_send(w->tls->session, (char *)iov[i].iov_base + at,
			    iov[i].iov_len - at);

			if (k < 0)
				return WIRE_ERROR;
			at += (size_t)k;
			total += (size_t)k;
		}
	w->unflushed = true;
	return wire_flush(w) ? (ssize_t)total : WIRE_ERROR;
}

bool wire_flush(struct wire *w)
{
	int k;

	if (!w->unflushed)
		return true;
	do
		k = gnutls_record_uncork(w->tls->session, 0);
	while (k == GNUTLS_E_INTERRUPTED);
	w->unflushed = k < 0;
	return k >= 0 || k == GNUTLS_E_AGAIN;
}

/* ---- the socket -------------------------------------------------------------------------------- */

static ssize_t outcome(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
}

ssize_t wire_read(struct wire *w, void *p, size_t n)
{
	ssize_t k;

	if (w->tls != NULL)
		return tls_read(w, p, n);
	do
		k = recv(w->fd, p, n, 0);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t k;

	if (w->tls != NULL)
		return tls_writev(w, iov, n);
	do
		k = n == 1 ? send(w->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) :
			     sendmsg(w->fd, &m, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

void wire_close(struct wire *w)
{
	if (w->tls != NULL) {
		if (!w->unflushed)
			(void)gnutls_bye(w->tls->session, GNUTLS_SHUT_WR);
		tls_wire_free(w->tls);
	}
	if (w->fd >= 0)
		close(w->fd);
	*w = (struct wire){ .fd = -1 };
}
