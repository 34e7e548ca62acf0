#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonw.h"

static const char *const level_names[] = { "debug", "info", "warn", "error" };

static atomic_int threshold = LOG_INFO;
static atomic_bool as_text;

void log_configure(enum log_level level, bool text)
{
	threshold = (int)level;
	as_text = text;
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool log_is_text(void)
{
	return atomic_load_explicit(&as_text, memory_order_relaxed);
}

bool log_parse_level(struct str s, enum log_level *out)
{
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (!str_eqc(s, level_names[i]))
			continue;
		*out = (enum log_level)i;
		return true;
	}
	return false;
}

static void format_value(struct buf *b, const struct log_field *f)
{
	switch (f->type) {
	case LOG_F_STR:
		jsonw_escape(b, f->s);
		break;
	case LOG_F_INT:
		if (f->i < 0)
			buf_addc(b, '-');
		buf_addu(b, f->i < 0 ? -(uint64_t)f->i : (uint64_t)f->i);
		break;
	case LOG_F_FLOAT:
		buf_printf(b, "%.6g", f->d);
		break;
	case LOG_F_BOOL:
		buf_addz(b, f->i ? "true" : "false");
		break;
	}
}

static void format_json(struct buf *b, const char *time, enum log_level level, const char *msg,
    const struct log_field *f)
{
	buf_addz(b, "{\"time\":\"");
	buf_addz(b, time);
	buf_addz(b, "\",\"level\":\"");
	buf_addz(b, level_names[level]);
	buf_addz(b, "\",\"msg\":");
	jsonw_escape(b, str_c(msg));
	for (; f->key != NULL; f++) {
		buf_addz(b, ",\"");
		buf_addz(b, f->key);
		buf_addz(b, "\":");
		format_value(b, f);
	}
	buf_addz(b, "}\n");
}

/* Values are escaped as JSON strings here too: a log line is always one line. */
static void format_text(struct buf *b, const char *time, enum log_level level, const char *msg,
    const struct log_field *f)
{
	buf_printf(b, "%s %-5s %s", time, level_names[level], msg);
	for (; f->key != NULL; f++) {
		buf_printf(b, " %s=", f->key);
		format_value(b, f);
	}
	buf_addc(b, '\n');
}

void log_format(struct buf *out, int64_t wall, enum log_level level, const char *msg,
    const struct log_field *fields)
{
	char time[CLOCK_RFC3339_LEN];

	clock_rfc3339(wall, time);
	(as_text ? format_text : format_json)(out, time, level, msg, fields);
}

void log_emit(enum log_level level, const char *msg, const struct log_field *fields)
{
	if (log_enabled(level))
		log_write(level, msg, fields);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
	struct buf b;

	buf_init(&b, 64 * 1024);
	log_format(&b, clock_wall(), level, msg, fields);
	/* a log that can't be written has nowhere to say so */
	if (b.n > 0 && write(STDERR_FILENO, b.p, b.n) < 0)
		(void)0;
	buf_release(&b);
}

void log_fail(const char *msg, const struct fail *f)
{
	enum log_level level = f->err == E_DRAINING ? LOG_DEBUG : LOG_ERROR;

	log_at(level, msg, LOG_Z("code", err_code(f->err)), LOG_Z("error", fail_text(f)));
}
