/* Frames of a client that ask for nothing and cost all the same: how many are no abuse (RFC 9113, 10.5).
 *
 * PING, SETTINGS and empty DATA have no reason to be many. WINDOW_UPDATE and PRIORITY come with requests and
 * answers, which give credit for them. Frames of unknown types are not counted: nghttp2 skips them for less
 * than reading them costs. Plain data. One thread: the worker's. */
#ifndef FRONT_HTTP2_NOISE_H
#define FRONT_HTTP2_NOISE_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialise. */
struct http2_noise {
	unsigned n;      /* since `since` */
	unsigned credit;
	int64_t since;   /* monotonic, microseconds */
};

/* One more frame of the first kind. False: too many. */
bool http2_noise(struct http2_noise *x, int64_t now);
/* One more of the second kind. */
bool http2_noise_companion(struct http2_noise *x, int64_t now);
/* A request has come, or a DATA frame of an answer has gone. */
void http2_noise_credit(struct http2_noise *x);

#endif
