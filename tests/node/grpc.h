/* An HTTP/2 connection in cleartext with prior knowledge that carries gRPC: one nghttp2 server
 * session. service.h answers the calls. Touched by the thread of its loop only. */
#ifndef NODE_GRPC_H
#define NODE_GRPC_H

struct loop;

/* Takes an accepted, non-blocking socket over; it closes itself. */
void grpc_open(struct loop *l, int fd);

#endif
