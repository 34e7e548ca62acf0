/* gwctl user import: a file of users, one JSON object a line, to the gateway in batches. What was
 * acknowledged is remembered (import_state.h) and a batch is repeated under the key that it had, so an
 * import that was cut off goes on where it stopped and makes nobody twice. Lines that are no users are
 * told with number and reason, and kept as they are in a file of their own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/client.h"
#include "gwctl.h"
#include "import_state.h"
#include "lines.h"
#include "progress.h"
#include "rest.h"

#define BATCH_LINES 500
#define BATCH_BYTES (256u << 10) /* below limits.body of any gateway that is not tuned for less */
#define TRIES 6
#define PATH_LEN 4096

/* The lines of one request. */
struct batch {
	json_t *items;
	struct buf text; /* the lines that are in it, as they are in the file */
	struct {
		int64_t number;
		size_t at, n; /* in text */
	} line[BATCH_LINES];
	size_t n, seen; /* in it; read for it, with those that are no JSON */
};

struct import {
	struct gwctl *g;
	const char *name;
	bool seekable, dry_run;
	struct lines lines;
	struct batch batch;
	struct import_state state;
	struct progress progress;
	char reject_path[PATH_LEN], state_path[PATH_LEN];
	int reject; /* -1: no line has been rejected yet */
};

/* ---- rejected lines ------------------------------------------------------------------------- */

static enum err rejects_fail(const struct import *im, struct fail *f)
{
	return fail_set(f, E_LOCAL, "%s: %s", im->reject_path, strerror(errno));
}

/* The file may be there already, from an earlier import, and is then made anew: so it must be nothing else,
 * and not what is imported. */
static enum err check_rejects(const struct import *im, const struct stat *file, struct fail *f)
{
	struct stat st;

	if (lstat(im->reject_path, &st) != 0)
		return errno == ENOENT ? OK : rejects_fail(im, f);
	if (!S_ISREG(st.st_mode))
		return fail_set(f, E_USAGE, "%s: not a plain file, so rejected lines can't be kept there",
		    im->reject_path);
	if (st.st_dev == file->st_dev && st.st_ino == file->st_ino)
		return fail_set(f, E_USAGE, "%s: rejected lines can't be kept in the file that is imported",
		    im->reject_path);
	return OK;
}

static enum err open_rejects(struct import *im, struct fail *f)
{
	struct stat st;

	im->reject = open(im->reject_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (im->reject < 0 || fstat(im->reject, &st) != 0)
		return rejects_fail(im, f);
	if (st.st_size < im->state.reject_size) /* somebody took away what was there */
		im->state.reject_size = st.st_size;
	/* what a run that was cut off rejected after its last mark, this one rejects again */
	if (ftruncate(im->reject, im->state.reject_size) != 0 || lseek(im->reject, 0, SEEK_END) < 0)
		return rejects_fail(im, f);
	return OK;
}

static enum err keep_line(struct import *im, struct str text, struct fail *f)
{
	enum err e = im->reject < 0 ? open_rejects(im, f) : OK;

	if (e != OK)
		return e;
	if (!file_write(im->reject, text) || !file_write(im->reject, STR("\n")))
		return rejects_fail(im, f);
	im->state.reject_size += (int64_t)text.n + 1;
	return OK;
}

/* Tells and keeps a line; text.p NULL: it is too long to be kept. */
static enum err reject(struct import *im, int64_t number, struct str text, const struct fail *why,
    struct fail *f)
{
	struct fail told = *why;

	told.details = json_pack("{s:I}", "line", (json_int_t)number);
	fail_wrap(&told, "line %" PRId64, number);
	progress_clear(&im->progress);
	print_fail(stderr, im->g->print.format, &told, NULL);
	fail_clear(&told);
	im->state.rejected++;
	return text.p == NULL || im->dry_run ? OK : keep_line(im, text, f);
}

/* ---- a batch -------------------------------------------------------------------------------- */

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

static enum err parse(struct str text, json_t **out, struct fail *f)
{
	json_error_t why;

	*out = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
	if (*out == NULL)
		return fail_set(f, E_BAD_JSON, "column %d: %s", why.column, why.text);
	if (json_is_object(*out))
		return OK;
	json_decref(*out);
	*out = NULL;
	return fail_set(f, E_BAD_JSON, "must be a JSON object");
}

static enum err add_line(struct import *im, const struct line *line, struct fail *f)
{
	struct batch *b = &im->batch;
	struct fail why = { 0 };
	json_t *o = NULL;

	if (line->too_long) {
		fail_set(&why, E_LIMIT, "longer than %d bytes; not kept", LINES_MAX);
		return reject(im, line->number, STR_NONE, &why, f);
	}
	if (is_blank(line->text))
		return OK;
	if (parse(line->text, &o, &why) != OK)
		return reject(im, line->number, line->text, &why, f);
	b->line[b->n].number = line->number;
	b->line[b->n].at = b->text.n;
	b->line[b->n].n = line->text.n;
	b->n++;
	if (json_array_append_new(b->items, o) != 0 || buf_adds(&b->text, line->text) != OK)
		return fail_code(f, E_NOMEM);
	return OK;
}

/* The next lines. Where it ends depends on the file alone, so a batch that is sent again is the same. */
static enum err read_batch(struct import *im, bool *more, struct fail *f)
{
	struct batch *b = &im->batch;
	struct line line;
	enum err e = OK;

	json_array_clear(b->items);
	buf_clear(&b->text);
	b->n = b->seen = 0;
	*more = true;
	while (e == OK && b->seen < BATCH_LINES && b->text.n < BATCH_BYTES - LINES_MAX) {
		e = lines_next(&im->lines, &line, more, f);
		if (e != OK || !*more)
			break;
		b->seen++;
		e = add_line(im, &line, f);
	}
	return e;
}

static void wait_a_little(int try)
{
	const struct timespec t = { .tv_sec = (1 << try) / 4, .tv_nsec = (1 << try) % 4 * 250000000L };

	nanosleep(&t, NULL);
}

/* Some lines of a batch. */
struct part {
	size_t first, n;
};

static json_t *body_of(const struct import *im, struct part p)
{
	json_t *items = json_array();

	for (size_t i = p.first; i < p.first + p.n; i++)
		json_array_append(items, json_array_get(im->batch.items, i));
	if (json_array_size(items) != p.n) {
		json_decref(items);
		return NULL;
	}
	return im->dry_run ? json_pack("{so,sb}", "items", items, "dry_run", 1) :
	    json_pack("{so}", "items", items);
}

static enum err send(struct import *im, struct part p, struct client_reply *r, struct fail *f)
{
	char key[ID_TEXT_LEN + 64];
	json_t *body = body_of(im, p);
	struct client_request q = { .method = "POST", .path = "/admin/users:import", .body = body,
		.idempotency_key = im->dry_run ? NULL : key };
	enum err e = OK;

	if (body == NULL)
		return fail_code(f, E_NOMEM);
	snprintf(key, sizeof key, "%s-%" PRId64 "-%zu-%zu", im->state.import, im->state.offset, p.first, p.n);
	for (int i = 0; i < TRIES; i++) {
		e = rest_call(im->g, &q, r, f);
		if (e == OK || err_info(e)->exit != 6 || i + 1 == TRIES)
			break;
		client_reply_release(r);
		fail_clear(f);
		wait_a_little(i);
	}
	json_decref(body);
	return e;
}

static enum err take_result(struct import *im, size_t i, const json_t *result, struct fail *f)
{
	const struct batch *b = &im->batch;
	int64_t status = json_integer_value(json_object_get(result, "status"));
	const char *code = json_string_value(json_object_get(result, "code"));
	const char *text = json_string_value(json_object_get(result, "error"));
	struct fail why = { 0 };

	if (status == 201) {
		im->state.created++;
		return OK;
	}
	if (status == 200) {
		im->state.unchanged++;
		return OK;
	}
	fail_set(&why, err_by_code(code != NULL ? code : ""), "%s", text != NULL ? text : "refused");
	return reject(im, b->line[i].number, str_n(b->text.p + b->line[i].at, b->line[i].n), &why, f);
}

static enum err send_whole(struct import *im, struct part p, struct fail *f)
{
	struct client_reply r = { 0 };
	enum err e = send(im, p, &r, f);
	const json_t *results = e == OK ? json_object_get(r.body, "results") : NULL;

	if (e == OK && json_array_size(results) != p.n)
		e = fail_set(f, E_BAD_UPSTREAM, "the answer is not one of this request");
	for (size_t i = 0; e == OK && i < p.n; i++)
		e = take_result(im, p.first + i, json_array_get(results, i), f);
	client_reply_release(&r);
	return e;
}

static enum err reject_line(struct import *im, size_t i, struct fail *f)
{
	const struct batch *b = &im->batch;
	struct fail why = *f;
	enum err e;

	*f = (struct fail){ 0 };
	e = reject(im, b->line[i].number, str_n(b->text.p + b->line[i].at, b->line[i].n), &why, f);
	fail_clear(&why);
	return e;
}

/* What the gateway can't read as a whole, because of one line in it (nested too deep) or of all together
 * (a smaller limits.body), is sent in halves, until it is known which line is none. */
static enum err send_part(struct import *im, struct part p, struct fail *f)
{
	const struct part left = { p.first, p.n / 2 }, right = { p.first + left.n, p.n - left.n };
	enum err e = send_whole(im, p, f);

	if (e != E_BAD_JSON && e != E_BODY_TOO_LARGE)
		return e;
	if (p.n == 1)
		return reject_line(im, p.first, f);
	fail_clear(f);
	e = send_part(im, left, f);
	return e == OK ? send_part(im, right, f) : e;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum err mark(struct import *im, struct fail *f)
{
	im->state.offset = im->lines.offset;
	im->state.line = im->lines.number;
	return im->seekable && !im->dry_run ? import_state_save(im->state_path, &im->state, f) : OK;
}

static enum err run(struct import *im, struct fail *f)
{
	bool more = true;
	enum err e = mark(im, f);

	while (e == OK && more) {
		e = read_batch(im, &more, f);
		if (e == OK && im->batch.n > 0)
			e = send_part(im, (struct part){ 0, im->batch.n }, f);
		if (e == OK)
			e = mark(im, f);
		progress_show(&im->progress, im->lines.offset,
		    im->state.created + im->state.unchanged + im->state.rejected);
	}
	progress_clear(&im->progress);
	return e;
}

static enum err open_file(struct import *im, struct stat *st, int *fd, struct fail *f)
{
	bool from_stdin = strcmp(im->name, "-") == 0;

	*fd = from_stdin ? dup(STDIN_FILENO) : open(im->name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, st) != 0)
		return fail_set(f, E_LOCAL, "%s: %s", im->name, strerror(errno));
	if (S_ISDIR(st->st_mode))
		return fail_set(f, E_LOCAL, "%s: %s", im->name, strerror(EISDIR));
	im->seekable = S_ISREG(st->st_mode) && !from_stdin;
	if (im->seekable && flock(*fd, LOCK_EX | LOCK_NB) != 0)
		return fail_set(f, E_LOCAL, "%s: another import of this file is under way", im->name);
	return OK;
}

static enum err name_files(struct import *im, struct fail *f)
{
	const char *rejects = gwctl_arg(im->g, "--rejects");
	const char *base = strcmp(im->name, "-") == 0 ? "stdin" : im->name;
	int n = rejects != NULL ? snprintf(im->reject_path, PATH_LEN, "%s", rejects) :
	    snprintf(im->reject_path, PATH_LEN, "%s.rejected", base);
	int m = snprintf(im->state_path, PATH_LEN, "%s.state", im->reject_path);

	if (n == 0)
		return fail_set(f, E_USAGE, "--rejects must not be empty");
	return n < PATH_LEN && m < PATH_LEN ? OK : fail_set(f, E_USAGE, "the name of the file is too long");
}

/* Where an earlier run of the same file stopped, or the beginning. */
static enum err begin(struct import *im, const struct stat *st, struct fail *f)
{
	bool found = false;
	enum err e = OK;

	import_state_new(&im->state, st);
	if (!im->dry_run)
		e = check_rejects(im, st, f);
	if (e == OK && im->seekable && !im->dry_run && !args_has(&im->g->args, "--restart"))
		e = import_state_load(im->state_path, st, &im->state, &found, f);
	if (e == OK && found) {
		fprintf(stderr, "going on behind line %" PRId64 "\n", im->state.line);
		e = lines_seek(&im->lines, im->state.offset, im->state.line, f);
	}
	if (e == OK && !found && !im->dry_run && unlink(im->reject_path) != 0 && errno != ENOENT)
		e = rejects_fail(im, f);
	progress_init(&im->progress, "users", im->seekable ? st->st_size : 0,
	    im->state.created + im->state.unchanged + im->state.rejected);
	return e;
}

static enum err report(struct import *im, int64_t spent, struct fail *f)
{
	const struct import_state *s = &im->state;
	bool kept = s->reject_size > 0;
	json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:s?}", "created", (json_int_t)s->created,
	    "unchanged", (json_int_t)s->unchanged, "rejected", (json_int_t)s->rejected, "lines",
	    (json_int_t)s->line, "milliseconds", (json_int_t)(spent / CLOCK_MS), "rejects",
	    kept ? im->reject_path : NULL);
	enum err e = o != NULL ? print_object(&im->g->print, o) : fail_code(f, E_NOMEM);

	json_decref(o);
	if (e != OK || s->rejected == 0)
		return e;
	return fail_set(f, E_LOCAL, "%" PRId64 " lines were rejected%s%s", s->rejected,
	    kept ? "; they are in " : "", kept ? im->reject_path : "");
}

static enum err import(struct import *im, struct fail *f)
{
	int64_t start = clock_mono();
	struct stat st;
	int fd = -1;
	enum err e = open_file(im, &st, &fd, f);

	if (e == OK)
		e = lines_init(&im->lines, fd, f);
	if (e == OK)
		e = begin(im, &st, f);
	if (e == OK) {
		e = run(im, f);
		if (e != OK && im->seekable && !im->dry_run)
			fail_wrap(f, "stopped behind line %" PRId64 ", run it again to go on", im->state.line);
	}
	if (e == OK) {
		if (im->seekable && !im->dry_run)
			(void)unlink(im->state_path);
		e = report(im, clock_mono() - start, f);
	}
	lines_release(&im->lines);
	if (im->reject >= 0)
		close(im->reject);
	if (fd >= 0)
		close(fd);
	return e;
}

enum err user_import_run(struct gwctl *g, struct fail *f)
{
	struct import im = { .g = g, .name = gwctl_arg(g, "FILE"), .reject = -1,
		.dry_run = args_has(&g->args, "--dry-run") };
	enum err e = name_files(&im, f);

	if (e == OK)
		e = gwctl_client(g, f);
	if (e != OK)
		return e;
	im.batch.items = json_array();
	buf_init(&im.batch.text, BATCH_BYTES + LINES_MAX);
	e = im.batch.items != NULL ? import(&im, f) : fail_code(f, E_NOMEM);
	json_decref(im.batch.items);
	buf_release(&im.batch.text);
	return e;
}
