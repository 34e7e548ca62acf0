/* JSON values as YAML, for people and files, and YAML files as JSON values. One thread. */
#ifndef GWCTL_YAML_H
#define GWCTL_YAML_H

#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

struct json_t;

enum err yaml_write(FILE *out, const struct json_t *v);
/* YAML or JSON (which is YAML) text as a JSON value; anchors, aliases, tags and duplicate keys are
 * refused. E_BAD_REQUEST names the line. The caller owns *out. */
enum err yaml_read(struct str text, struct json_t **out, struct fail *f);

#endif
