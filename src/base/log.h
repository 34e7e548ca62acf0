/* The log: one line an event to stderr, a JSON object (or `key=value` text for people). Written with
 * one write(2) a line, so lines of several threads never mix. Any thread; the level and format are
 * set before threads start and by SIGHUP (atomic). Callers never pass a secret. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct buf;
struct fail;

struct log_field {
	const char *key; /* NULL ends the list */
	enum { LOG_F_STR, LOG_F_INT, LOG_F_FLOAT, LOG_F_BOOL } type;
	struct str s;
	int64_t i;
	double d;
};

#define LOG_S(k, v) { .key = (k), .type = LOG_F_STR, .s = (v) }
#define LOG_Z(k, v) { .key = (k), .type = LOG_F_STR, .s = str_c(v) }
#define LOG_I(k, v) { .key = (k), .type = LOG_F_INT, .i = (v) }
#define LOG_F(k, v) { .key = (k), .type = LOG_F_FLOAT, .d = (v) }
#define LOG_B(k, v) { .key = (k), .type = LOG_F_BOOL, .i = (v) }

/* log_info("listening", LOG_Z("address", a), LOG_I("port", p)); */
#define log_at(level, msg, ...) \
	log_emit((level), (msg), (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { NULL } })
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/* Level below which nothing is written; text: for people instead of JSON. */
void log_configure(enum log_level level, bool text);
bool log_enabled(enum log_level level);
/* Lines are text for people now, not JSON. */
bool log_is_text(void);
void log_emit(enum log_level level, const char *msg, const struct log_field *fields);
/* A line of level info that is written whatever the level is: what a supervisor waits for. */
#define log_announce(msg, ...) \
	log_write(LOG_INFO, (msg), (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { NULL } })
void log_write(enum log_level level, const char *msg, const struct log_field *fields);
/* A failure with its code and text; level error. One that only says that the gateway shuts down is none. */
void log_fail(const char *msg, const struct fail *f);
/* Appends one line (with its newline) to `out` instead of writing it: for writers that gather many
 * lines, like the access log. `wall` is microseconds. */
void log_format(struct buf *out, int64_t wall, enum log_level level, const char *msg,
    const struct log_field *fields);
bool log_parse_level(struct str s, enum log_level *out);

#endif
