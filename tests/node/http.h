/* An HTTP/1.1 connection: reads requests (pipelined ones too), asks handler.h for the answer, sends
 * it, and keeps the connection as RFC 9112 §9 says. Touched by the thread of its loop only. */
#ifndef NODE_HTTP_H
#define NODE_HTTP_H

struct loop;

/* Takes an accepted, non-blocking socket over; it closes itself. */
void http_open(struct loop *l, int fd);

#endif
