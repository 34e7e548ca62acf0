#include "front/handshake.h"

#include "base/log.h"
#include "crypto/tls_server.h"
#include "crypto/wire.h"
#include "obs/obs.h"

#define STEPS 4 /* in one iteration: some 300 us each */

enum err handshakes_init(struct handshakes *l, struct obs_worker *obs)
{
	*l = (struct handshakes){ .obs = obs };
	return tls_buffers_new(&l->buffers);
}

void handshakes_release(struct handshakes *l)
{
	tls_server_unref(l->server);
	tls_buffers_free(l->buffers);
	*l = (struct handshakes){ 0 };
}

void handshakes_set_server_take(struct handshakes *l, struct tls_server *t)
{
	tls_server_unref(l->server);
	l->server = t;
}

enum err handshake_begin(struct handshakes *l, struct handshake *s, struct wire *w, enum tls_alpn alpn,
    void (*cb)(struct handshake *s, bool ok))
{
	enum err e = tls_session_accept(l->server, l->buffers, w->fd, alpn, &w->tls);

	if (e != OK)
		return e;
	*s = (struct handshake){ .of = l, .wire = w, .cb = cb };
	l->going++;
	return OK;
}

void handshake_event(struct handshake *s)
{
	struct handshakes *l = s->of;

	if (s->queued)
		return;
	s->queued = true;
	s->next = NULL;
	if (l->first == NULL)
		l->first = s;
	else
		l->last->next = s;
	l->last = s;
}

void handshake_cancel(struct handshake *s)
{
	struct handshake *before = NULL;

	if (s->of == NULL)
		return;
	obs_tls_handshake(s->of->obs, OBS_TLS_FAILED);
	if (s->queued) {
		for (struct handshake *x = s->of->first; x != s; x = x->next)
			before = x;
		if (before != NULL)
			before->next = s->next;
		else
			s->of->first = s->next;
		if (s->of->last == s)
			s->of->last = before;
	}
	s->of->going--;
	*s = (struct handshake){ 0 };
}

static void count(const struct handshake *s, enum tls_step step)
{
	char text[256];

	if (step == TLS_DONE)
		obs_tls_handshake(s->of->obs, tls_session_resumed(s->wire->tls) ? OBS_TLS_RESUMED : OBS_TLS_FULL);
	else
		obs_tls_handshake(s->of->obs, OBS_TLS_FAILED);
	if (step == TLS_FAILED)
		log_debug("a TLS handshake failed", LOG_Z("error", tls_session_error(s->wire->tls, text)));
}

static void make_step(struct handshake *s)
{
	enum tls_step step = tls_session_handshake(s->wire->tls);

	if (step == TLS_GOING)
		return;
	count(s, step);
	s->of->going--;
	s->of = NULL;
	s->cb(s, step == TLS_DONE);
}

int64_t handshakes_turn(struct handshakes *l)
{
	for (int i = 0; i < STEPS && l->first != NULL; i++) {
		struct handshake *s = l->first;

		l->first = s->next;
		s->queued = false;
		make_step(s);
	}
	return l->first != NULL ? 0 : -1;
}
