#include "api/grpc_health.h"

#include "api/api.h"
#include "api/ctl.h"
#include "base/clock.h"
#include "proxy/proto_scan.h"
#include "proxy/proto_write.h"

#define LOOK_EVERY (500 * CLOCK_MS)

/* HealthCheckResponse.ServingStatus */
enum serving { UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN };

static enum serving state_of(struct api *a, bool known)
{
	struct ctl *c = api_ctl(a);

	if (!known)
		return SERVICE_UNKNOWN;
	return c->not_ready(c) == NULL ? SERVING : NOT_SERVING;
}

/* HealthCheckRequest: *known says whether the gateway has the service. */
static enum err read_service(struct str message, bool *known)
{
	struct proto_scan s = { .rest = message };
	struct str service = STR("");
	struct proto_field f;

	while (proto_scan_next(&s, &f))
		if (f.number == 1 && f.type == PROTO_BYTES)
			service = f.bytes;
	*known = service.n == 0 || str_eq(service, STR("aggregate.gateway.v1.CommandService"));
	return s.bad ? E_BAD_REQUEST : OK;
}

STEP op_grpc_health_check(struct api *a, struct request *r)
{
	struct fail f = { 0 };
	bool known;

	if (read_service(buf_str(&r->body), &known) != OK)
		return request_fail_code(r, E_BAD_REQUEST);
	if (!known) {
		fail_set(&f, E_NOT_FOUND, "unknown service");
		return request_fail(r, &f);
	}
	proto_write_varint(&r->reply.buf, 1, state_of(a, true));
	if (r->reply.buf.failed)
		return request_fail_code(r, E_NOMEM);
	r->reply.grpc = true;
	r->reply.status = 200;
	return request_reply(r);
}

/* ---- Watch --------------------------------------------------------------------------------------- */

struct watch {
	struct request *r;
	struct loop_timer timer;
	bool asked, known; /* the caller has said for what; the gateway has it */
	int told;          /* enum serving; -1: nothing yet */
};

static void stop(void *arg)
{
	struct watch *w = arg;

	loop_timer_clear(w->r->loop, &w->timer);
}

static void fail(struct watch *w, enum err e, const char *text)
{
	struct fail f = { 0 };

	stop(w);
	fail_set(&f, e, "%s", text != NULL ? text : err_info(e)->text);
	step_done(request_fail(w->r, &f));
}

/* Says the state when it is another one than before. False: the call has failed. */
static bool tell(struct watch *w)
{
	enum serving s = state_of(w->r->api, w->known);
	struct buf out;
	enum err e;

	if ((int)s == w->told)
		return true;
	w->told = s;
	buf_init(&out, 16);
	proto_write_varint(&out, 1, s);
	e = buf_err(&out);
	if (e == OK)
		e = request_send(w->r, buf_str(&out));
	buf_release(&out);
	if (e != OK)
		fail(w, e == E_LIMIT ? E_OVERLOADED : e, NULL);
	return e == OK;
}

/* Looks again after a while, or when the caller's time is over. */
static void look_later(struct watch *w)
{
	struct request *r = w->r;
	int64_t left = r->deadline != 0 ? r->deadline - loop_now(r->loop) : LOOK_EVERY;

	left = left < 0 ? 0 : left > LOOK_EVERY ? LOOK_EVERY : left;
	if (loop_timer_set(r->loop, &w->timer, left) != OK)
		fail(w, E_NOMEM, NULL);
}

static void look_cb(struct loop_timer *t)
{
	struct watch *w = (struct watch *)((char *)t - offsetof(struct watch, timer));
	struct request *r = w->r;

	if (r->deadline != 0 && loop_now(r->loop) >= r->deadline)
		fail(w, E_REQUEST_TIMEOUT, "the time limit has passed");
	else if (tell(w))
		look_later(w);
}

static void message_cb(struct request *r, struct str message)
{
	struct watch *w = r->step_data;

	if (w->asked || read_service(message, &w->known) != OK) {
		fail(w, w->asked ? E_MESSAGE_COUNT : E_BAD_REQUEST, NULL);
		return;
	}
	w->asked = true;
	if (tell(w))
		look_later(w);
}

static void end_cb(struct request *r)
{
	struct watch *w = r->step_data;

	if (!w->asked)
		fail(w, E_MESSAGE_COUNT, NULL);
}

/* NOT_SERVING first: the status alone could be the network's. */
static void drain_cb(struct request *r)
{
	struct watch *w = r->step_data;

	if (!w->asked || tell(w))
		fail(w, E_DRAINING, NULL);
}

static void gone_cb(struct request *r)
{
	step_done(request_fail_code(r, E_CLIENT_GONE));
}

STEP op_grpc_health_watch(struct api *a, struct request *r)
{
	static const struct request_stream stream = { message_cb, end_cb, drain_cb };
	struct watch *w = arena_zalloc(&r->arena, sizeof *w);

	(void)a;
	if (w == NULL)
		return request_fail_code(r, E_NOMEM);
	w->r = r;
	w->timer.cb = look_cb;
	w->told = -1;
	if (request_on_finish(r, stop, w) != OK)
		return request_fail_code(r, E_NOMEM);
	r->step_data = w;
	r->stream = &stream;
	r->on_gone = gone_cb;
	return request_suspend(r);
}
