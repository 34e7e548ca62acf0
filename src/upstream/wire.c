#include "upstream/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t outcome(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
}

ssize_t wire_read(struct wire *w, void *p, size_t n)
{
	ssize_t k;

	do
		k = recv(w->fd, p, n, 0);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

ssize_t wire_writev(struct wire *w, const struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t k;

	do
		k = n == 1 ? send(w->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) :
			     sendmsg(w->fd, &m, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	return outcome(k);
}

void wire_close(struct wire *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
