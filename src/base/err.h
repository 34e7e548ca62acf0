/* Errors of the whole house: one enum from one table (err.def), and `struct fail`, an error with
 * its context for a person. Nothing else maps errors to statuses. Constant data and plain values:
 * any thread. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

struct json_t;

enum err {
	OK = 0,
#define E(name, code, http, grpc, exit, text) E_##name,
#include "base/err.def"
#undef E
	ERR__COUNT
};

struct err_info {
	const char *code; /* stable, as in the envelope */
	int http;         /* HTTP status */
	int grpc;         /* google.rpc.Code */
	int exit;         /* exit code of gwctl */
	const char *text; /* one sentence, no full stop */
};

/* Never NULL; OK gives {"ok",200,0,0,"ok"}. */
const struct err_info *err_info(enum err e);
const char *err_code(enum err e);
/* The error whose code is `code`, or E_INTERNAL when there is none. */
enum err err_by_code(const char *code);

/* An error with context. `text` empty means the table's text. `details` is NULL or an owned
 * reference to a JSON object that goes into the envelope; release with fail_clear. */
struct fail {
	enum err err;
	char text[384];
	struct json_t *details;
	int retry_after; /* seconds for Retry-After; 0: the default of the status */
};

/* Sets the error and its text (printf), keeps nothing of what was there, returns `e`. `f` may be
 * NULL: then only the code travels. */
enum err fail_set(struct fail *f, enum err e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The bare error with the table's text. */
enum err fail_code(struct fail *f, enum err e);
/* Puts "prefix: " before the text that is there; returns f->err. */
enum err fail_wrap(struct fail *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Attaches a details object (stolen). */
void fail_details_take(struct fail *f, struct json_t *details);
const char *fail_text(const struct fail *f);
/* Where there are several faults, the text names the first and details.faults lists them: the i-th of
 * them in words, "place: what". False behind the last, and when there is only one. */
#define FAIL_FAULT_LEN 512
bool fail_fault(const struct fail *f, size_t i, char text[FAIL_FAULT_LEN]);
void fail_clear(struct fail *f);

#endif
