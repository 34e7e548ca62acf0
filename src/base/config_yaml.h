/* YAML (libyaml's events) into configuration: nested maps flatten to dotted keys. Anchors, aliases,
 * tags and duplicate keys are refused. Used by config.c alone. Not thread-safe. */
#ifndef BASE_CONFIG_YAML_H
#define BASE_CONFIG_YAML_H

#include "base/config.h"
#include "base/str.h"

/* Receives what the parser finds; each may record a fault and let the parser go on. */
struct config_sink {
	void *ctx;
	/* A key with one value, or with one of a sequence's values (`element` counts from 1; 0: a
	 * scalar; SIZE_MAX: the sequence begins). */
	void (*value)(void *ctx, int line, struct str key, struct str value, size_t element);
	void (*fault)(void *ctx, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
};

/* Parses the whole text; syntax errors end it with a fault. issuers go to *issuers (owned by the
 * caller, also after faults), *issuers_line is the line they stand in, 0 when they are absent. */
enum err config_yaml_parse(struct str text, const struct config_sink *sink,
    struct config_issuers *issuers, int *issuers_line);
/* The issuers alone, as a YAML or JSON sequence: for the environment and -o. */
enum err config_yaml_issuers(struct str text, const struct config_sink *sink,
    struct config_issuers *issuers);

#endif
