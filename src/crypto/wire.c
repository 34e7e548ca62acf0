#include "crypto/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/tls_session.h"

_Static_assert((int)WIRE_AGAIN == (int)TLS_AGAIN && (int)WIRE_ERROR == (int)TLS_ERROR, "one meaning");

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
		return tls_session_read(w->tls, p, n);
	do
		k = recv(w->fd, p, n, 0);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

bool wire_ended(const struct wire *w)
{
	return w->tls != NULL && tls_session_ended(w->tls);
}

bool wire_holds(const struct wire *w)
{
	return w->tls != NULL && tls_session_holds(w->tls);
}

ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t k;

	if (w->tls != NULL)
		return tls_session_writev(w->tls, iov, n);
	do
		k = n == 1 ? send(w->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) :
			     sendmsg(w->fd, &m, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

bool wire_flush(struct wire *w)
{
	return w->tls == NULL || tls_session_flush(w->tls);
}

bool wire_unflushed(const struct wire *w)
{
	return w->tls != NULL && tls_session_unflushed(w->tls);
}

int wire_bare(struct wire *w)
{
	int fd = w->fd;

	if (w->tls != NULL) {
		tls_session_bye(w->tls);
		tls_session_free(w->tls);
	}
	*w = (struct wire){ .fd = -1 };
	return fd;
}

void wire_close(struct wire *w)
{
	int fd = wire_bare(w);

	if (fd >= 0)
		close(fd);
}
