#include "front/sock.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

static struct tcp_info info(int fd)
{
	struct tcp_info i = { 0 };
	socklen_t n = sizeof i;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n) != 0)
		i = (struct tcp_info){ 0 };
	return i;
}

uint64_t sock_acked(int fd)
{
	return info(fd).tcpi_bytes_acked;
}

uint64_t sock_received(int fd)
{
	return info(fd).tcpi_bytes_received;
}
