#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

#define CAP (LINES_MAX + 2)

enum err lines_init(struct lines *l, int fd, struct fail *f)
{
	*l = (struct lines){ .fd = fd, .p = heap_alloc(CAP) };
	return l->p != NULL ? OK : fail_code(f, E_NOMEM);
}

void lines_release(struct lines *l)
{
	heap_free(l->p);
}

enum err lines_seek(struct lines *l, int64_t offset, int64_t number, struct fail *f)
{
	if (lseek(l->fd, offset, SEEK_SET) < 0)
		return fail_set(f, E_LOCAL, "seeking: %s", strerror(errno));
	l->at = l->n = 0;
	l->offset = offset;
	l->number = number;
	l->eof = false;
	return OK;
}

/* More bytes behind those that are there, which move to the front. */
static enum err fill(struct lines *l, struct fail *f)
{
	ssize_t got;

	memmove(l->p, l->p + l->at, l->n - l->at);
	l->n -= l->at;
	l->at = 0;
	do
		got = read(l->fd, l->p + l->n, CAP - l->n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_set(f, E_LOCAL, "reading: %s", strerror(errno));
	l->eof = got == 0;
	l->n += (size_t)got;
	return OK;
}

static void take(struct lines *l, size_t n)
{
	l->at += n;
	l->offset += (int64_t)n;
}

/* Drops what is there of a line that is too long, up to its end or all of it. */
static enum err pass_over(struct lines *l, struct fail *f)
{
	for (;;) {
		char *end = memchr(l->p + l->at, '\n', l->n - l->at);
		enum err e;

		take(l, end != NULL ? (size_t)(end - (l->p + l->at)) + 1 : l->n - l->at);
		if (end != NULL || l->eof)
			return OK;
		e = fill(l, f);
		if (e != OK)
			return e;
	}
}

static struct str trim(struct str s, int64_t number)
{
	if (s.n > 0 && s.p[s.n - 1] == '\r')
		s.n--;
	return number == 1 && str_starts(s, STR("\xef\xbb\xbf")) ? str_skip(s, 3) : s;
}

enum err lines_next(struct lines *l, struct line *out, bool *more, struct fail *f)
{
	char *end;
	size_t n;
	enum err e;

	while ((end = memchr(l->p + l->at, '\n', l->n - l->at)) == NULL && !l->eof && l->n - l->at < CAP) {
		e = fill(l, f);
		if (e != OK)
			return e;
	}
	n = end != NULL ? (size_t)(end - (l->p + l->at)) : l->n - l->at;
	*more = end != NULL || n > 0;
	if (!*more)
		return OK;
	l->number++;
	*out = (struct line){ .number = l->number, .text = trim(str_n(l->p + l->at, n), l->number) };
	out->too_long = out->text.n > LINES_MAX;
	if (out->too_long)
		out->text = STR_NONE; /* passing over the rest overwrites it */
	if (end != NULL || l->eof) {
		take(l, end != NULL ? n + 1 : n);
		return OK;
	}
	return pass_over(l, f);
}
