#include "fault.h"

#include "dict.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (256u << 20)

static const char *const modes[] = {
	[FAULT_NONE] = "none",
	[FAULT_STATUS] = "status",
	[FAULT_DELAY] = "delay",
	[FAULT_CLOSE] = "close",
	[FAULT_RESET_MID_BODY] = "reset_mid_body",
	[FAULT_SHORT_BODY] = "short_body",
	[FAULT_BAD_FRAMING] = "bad_framing",
	[FAULT_CHUNKED] = "chunked",
	[FAULT_UNTIL_CLOSE] = "until_close",
	[FAULT_LARGE] = "large",
	[FAULT_REFUSE] = "refuse",
	[FAULT_TEXT] = "text",
	[FAULT_GOAWAY] = "goaway",
};

static const char *const kinds[] = {
	[FRAMING_TWO_LENGTHS] = "two_lengths", [FRAMING_BOTH] = "both",
	[FRAMING_BAD_CHUNK] = "bad_chunk",     [FRAMING_BAD_STATUS] = "bad_status",
	[FRAMING_BAD_HEADER] = "bad_header",   [FRAMING_LONG_HEAD] = "long_head",
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dict counters;

static unsigned *counter(const char *key)
{
	unsigned *n = dict_get(&counters, key);

	if (n)
		return n;
	n = calloc(1, sizeof *n);
	if (!n)
		abort();
	dict_add(&counters, key, n);
	return n;
}

static unsigned count_one(const char *key)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = ++*counter(key);
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned fault_count(const char *key)
{
	unsigned *n, seen;

	pthread_mutex_lock(&lock);
	n = dict_get(&counters, key);
	seen = n ? *n : 0;
	pthread_mutex_unlock(&lock);
	return seen;
}

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

enum problem fault_read(json_t *order, struct fault *f, struct verdict *v)
{
	const char *mode = "none", *kind = kinds[0], *key = NULL;
	int ms = 0, bytes = 1000, times = -1, m, k;
	json_error_t why;

	*f = (struct fault){ .status = 503 };
	if (json_unpack_ex(order, &why, JSON_STRICT, "{s?s,s?s,s?s,s?i,s?i,s?i,s?i}", "mode", &mode,
	                   "kind", &kind, "key", &key, "status", &f->status, "ms", &ms, "bytes",
	                   &bytes, "times", &times))
		return verdict_set(v, PROBLEM_INVALID, "fault: %s", why.text);
	m = index_of(modes, sizeof modes / sizeof *modes, mode);
	k = index_of(kinds, sizeof kinds / sizeof *kinds, kind);
	if (m < 0 || k < 0 || ms < 0 || bytes < 0 || (unsigned)bytes > MAX_BYTES)
		return verdict_set(v, PROBLEM_INVALID,
		                   "fault: mode, kind, ms or bytes is not one this node knows");
	f->mode = (enum fault_mode)m;
	f->kind = (enum fault_kind)k;
	f->delay_ms = (unsigned)ms;
	f->bytes = (size_t)bytes;
	f->count = key ? count_one(key) : 0;
	if (key && times >= 0 && f->count > (unsigned)times)
		f->mode = FAULT_NONE;
	return PROBLEM_NONE;
}
