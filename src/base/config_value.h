/* The values of configuration keys: parse text into a field, copy, compare, release, by kind. Used
 * by config.c and config_yaml.c alone. Not thread-safe. */
#ifndef BASE_CONFIG_VALUE_H
#define BASE_CONFIG_VALUE_H

#include "base/config.h"
#include "base/str.h"

/* Parses `text` into the field that `at` points to, replacing what was there. On E_CONFIG, f->text
 * says what is wrong with the value, without key or place. Empty text unsets what may be unset.
 * Lists take commas. CONFIG_ISSUERS is config_yaml's. */
enum err config_value_parse(const struct config_key *k, void *at, struct str text, struct fail *f);
/* One more element of a LIST or NETWORKS. */
enum err config_value_append(const struct config_key *k, void *at, struct str text, struct fail *f);
/* Deep. On E_NOMEM *to is as it was. */
enum err config_value_copy(const struct config_key *k, void *to, const void *from);
bool config_value_equal(const struct config_key *k, const void *a, const void *b);
void config_value_release(const struct config_key *k, void *at);

enum err config_list_add(struct config_list *l, struct str s);
void config_list_release(struct config_list *l);
void config_issuer_release(struct config_issuer *i);
/* Replaces *to by a NUL-terminated copy; an empty s gives NULL. */
enum err config_text_set(char **to, struct str s);

static inline void *config_field(const struct config *c, enum config_id id)
{
	return (char *)c + config_keys[id].offset;
}

#endif
