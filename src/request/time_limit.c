#include "request/time_limit.h"

#include "request/request.h"

bool time_limit_grpc(struct str s, int64_t *us)
{
	static const struct {
		char unit;
		int64_t us; /* 0: nanoseconds */
	} units[] = { { 'H', 3600000000 }, { 'M', 60000000 }, { 'S', 1000000 }, { 'm', 1000 }, { 'u', 1 },
		{ 'n', 0 } };
	uint64_t v;

	if (s.n < 2 || s.n > 9 || !str_u64(str_n(s.p, s.n - 1), 99999999, &v))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (units[i].unit == s.p[s.n - 1]) {
			*us = units[i].us > 0 ? (int64_t)v * units[i].us : ((int64_t)v + 999) / 1000;
			return true;
		}
	return false;
}

static bool milliseconds(struct str s, int64_t *us)
{
	uint64_t v;

	if (!str_u64(s, UINT32_MAX, &v))
		return false;
	*us = (int64_t)v * 1000;
	return true;
}

static enum err take(struct request *r, enum header_id h, bool (*parse)(struct str s, int64_t *us),
    const char *form, struct fail *f)
{
	int64_t us, deadline;

	if (r->known_count[h] == 0)
		return OK;
	if (r->known_count[h] > 1 || !parse(request_known(r, h), &us))
		return fail_set(f, E_BAD_REQUEST, "%s is not %s", header_name(h).p, form);
	deadline = r->started_mono + us;
	if (r->deadline == 0 || deadline < r->deadline)
		r->deadline = deadline;
	return OK;
}

enum err time_limit_read(struct request *r, struct fail *f)
{
	enum err e = take(r, HDR_GRPC_TIMEOUT, time_limit_grpc,
	    "one to eight digits and one of H, M, S, m, u, n", f);

	return e != OK ? e : take(r, HDR_REQUEST_TIMEOUT_MS, milliseconds, "a number of milliseconds", f);
}
