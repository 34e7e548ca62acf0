#include "base/config_value.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"

#define MAX_LIST 1024

enum err config_text_set(char **to, struct str s)
{
	char *t = NULL;

	if (s.n > 0) {
		t = heap_alloc(s.n + 1);
		if (t == NULL)
			return E_NOMEM;
		memcpy(t, s.p, s.n);
		t[s.n] = '\0';
	}
	heap_free(*to);
	*to = t;
	return OK;
}

enum err config_list_add(struct config_list *l, struct str s)
{
	char **v = heap_realloc(l->v, (l->n + 1) * sizeof *v), *t = NULL;
	enum err e;

	if (v == NULL)
		return E_NOMEM;
	l->v = v;
	e = config_text_set(&t, s);
	if (e == OK)
		l->v[l->n++] = t;
	return e;
}

void config_list_release(struct config_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		heap_free(l->v[i]);
	heap_free(l->v);
	*l = (struct config_list){ 0 };
}

void config_issuer_release(struct config_issuer *i)
{
	heap_free(i->issuer);
	heap_free(i->audience);
	heap_free(i->jwks);
	heap_free(i->subject_claim);
	heap_free(i->scope_claim);
	config_list_release(&i->algs);
	*i = (struct config_issuer){ 0 };
}

/* ---- numbers ---- */

static bool parse_size(struct str s, int64_t *out)
{
	static const struct {
		struct str unit;
		uint64_t bytes;
	} units[] = {
		{ { "KiB", 3 }, 1 << 10 }, { { "MiB", 3 }, 1 << 20 }, { { "GiB", 3 }, 1 << 30 },
		{ { "kB", 2 }, 1000 },     { { "MB", 2 }, 1000000 },  { { "GB", 2 }, 1000000000 },
		{ { "B", 1 }, 1 },
	};
	uint64_t v, mult = 1;

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		struct str u = units[i].unit;

		if (s.n > u.n && str_eq(str_skip(s, s.n - u.n), u)) {
			mult = units[i].bytes;
			s = str_trim(str_n(s.p, s.n - u.n));
			break;
		}
	}
	if (!str_u64(s, INT64_MAX / mult, &v))
		return false;
	*out = (int64_t)(v * mult);
	return true;
}

static bool parse_number(enum config_kind kind, struct str s, int64_t *out)
{
	uint64_t v;

	if (kind == CONFIG_SIZE)
		return parse_size(s, out);
	if (kind == CONFIG_DURATION)
		return clock_parse_duration(s, out);
	if (!str_u64(s, INT64_MAX, &v))
		return false;
	*out = (int64_t)v;
	return true;
}

static enum err set_number(const struct config_key *k, int64_t *at, struct str text,
    struct fail *f)
{
	static const char *const forms[] = {
		[CONFIG_INT] = "a number",
		[CONFIG_SIZE] = "a size (bytes, or with KiB, MiB, GiB)",
		[CONFIG_DURATION] = "a duration (seconds, or with ms, s, m, h, d)",
	};
	struct str high, low = str_cut(str_c(k->allowed), '.', &high);
	int64_t v, lo, hi;

	high = str_skip(high, 1); /* the second dot */
	if (!parse_number(k->kind, low, &lo) || !parse_number(k->kind, high, &hi))
		return fail_set(f, E_INTERNAL, "the table's range is broken");
	if (!parse_number(k->kind, text, &v) || v < lo || v > hi)
		return fail_set(f, E_CONFIG, "must be %s from %.*s to %.*s", forms[k->kind],
		    STR_ARG(low), STR_ARG(high));
	*at = v;
	return OK;
}

static enum err set_bool(bool *at, struct str text, struct fail *f)
{
	static const struct {
		const char *word;
		bool v;
	} words[] = { { "true", true }, { "yes", true },  { "on", true },
		      { "false", false }, { "no", false }, { "off", false } };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (!str_eqc(text, words[i].word))
			continue;
		*at = words[i].v;
		return OK;
	}
	return fail_set(f, E_CONFIG, "must be true or false");
}

/* ---- text ---- */

/* "a, b or c" from "a|b|c". */
static void alternatives(const char *allowed, char *out, size_t cap)
{
	struct str rest = str_c(allowed);
	size_t n = 0;

	out[0] = '\0';
	while (rest.p != NULL && n < cap) {
		struct str word = str_cut(rest, '|', &rest), next = rest;

		if (next.p != NULL)
			(void)str_cut(next, '|', &next);
		n += (size_t)snprintf(out + n, cap - n, "%.*s%s", STR_ARG(word),
		    rest.p == NULL ? "" : next.p == NULL ? " or " : ", ");
	}
}

static enum err refuse(const struct config_key *k, struct fail *f)
{
	char words[192];

	alternatives(k->allowed, words, sizeof words);
	return fail_set(f, E_CONFIG, "must be %s", words);
}

static enum err set_enum(const struct config_key *k, int *at, struct str text, struct fail *f)
{
	struct str rest = str_c(k->allowed);

	for (int i = 0; rest.p != NULL; i++) {
		if (!str_eq(text, str_cut(rest, '|', &rest)))
			continue;
		*at = i;
		return OK;
	}
	return refuse(k, f);
}

static enum err check_text(const struct config_key *k, struct str text, struct fail *f)
{
	struct str rest = str_c(k->allowed);

	if (!str_utf8(text) || memchr(text.p, '\n', text.n) != NULL)
		return fail_set(f, E_CONFIG, "must be one line of UTF-8");
	if (rest.p == NULL)
		return OK;
	while (rest.p != NULL) {
		struct str glob = str_cut(rest, '|', &rest);

		if (str_eqc(glob, "*") ? str_eqc(text, "*") : str_glob(glob, text))
			return OK;
	}
	return refuse(k, f);
}

/* Empty: none; but a key that has a default has always a value. */
static enum err set_text(const struct config_key *k, char **at, struct str text, struct fail *f)
{
	enum err e = OK;

	if (text.n > 0)
		e = check_text(k, text, f);
	else if (k->def != NULL)
		e = fail_set(f, E_CONFIG, "must not be empty; leave the key out for %s", k->def);
	return e == OK ? config_text_set(at, text) : e;
}

static enum err set_address(struct config_addr *at, struct str text, struct fail *f)
{
	struct config_addr a = { 0 };
	struct str host, port = STR_NONE;
	uint64_t v;
	size_t i = text.n;

	while (i > 0 && text.p[i - 1] != ':')
		i--;
	host = str_n(text.p, i > 0 ? i - 1 : 0);
	port = str_skip(text, i);
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_n(host.p + 1, host.n - 2);
	else if (host.n > 0 && memchr(host.p, ':', host.n) != NULL)
		return fail_set(f, E_CONFIG, "must be HOST:PORT, an IPv6 address in brackets");
	if (host.n == 0 || host.n >= sizeof a.host || memchr(host.p, ' ', host.n) != NULL ||
	    !str_utf8(host) || !str_u64(port, 65535, &v))
		return fail_set(f, E_CONFIG, "must be HOST:PORT with a port from 0 to 65535");
	memcpy(a.host, host.p, host.n);
	a.port = (uint16_t)v;
	*at = a;
	return OK;
}

static enum err set_secret(struct secret *at, struct str text, struct fail *f)
{
	if (text.n > 0)
		return secret_set(at, text.p, text.n) == OK ? OK : fail_set(f, E_NOMEM, "no memory");
	secret_release(at);
	return OK;
}

/* ---- lists ---- */

static enum err add_network(struct config_networks *l, struct str text, struct fail *f)
{
	struct cidr c, *v;

	if (!cidr_parse(text, &c))
		return fail_set(f, E_CONFIG, "must be networks like 10.0.0.0/8 or fd00::/8");
	v = heap_realloc(l->v, (l->n + 1) * sizeof *v);
	if (v == NULL)
		return E_NOMEM;
	l->v = v;
	l->v[l->n++] = c;
	return OK;
}

enum err config_value_append(const struct config_key *k, void *at, struct str text, struct fail *f)
{
	struct config_list *l = at;
	enum err e;

	if (k->kind == CONFIG_NETWORKS)
		return add_network(at, text, f);
	if (l->n >= MAX_LIST)
		return fail_set(f, E_CONFIG, "must have at most %d elements", MAX_LIST);
	e = text.n > 0 ? check_text(k, text, f) : fail_set(f, E_CONFIG, "must not have empty elements");
	return e == OK ? config_list_add(l, text) : e;
}

static enum err set_list(const struct config_key *k, void *at, struct str text, struct fail *f)
{
	enum err e = OK;

	config_value_release(k, at);
	if (text.n == 0)
		return OK;
	while (e == OK && text.p != NULL)
		e = config_value_append(k, at, str_trim(str_cut(text, ',', &text)), f);
	return e;
}

/* ---- by kind ---- */

enum err config_value_parse(const struct config_key *k, void *at, struct str text, struct fail *f)
{
	switch (k->kind) {
	case CONFIG_ADDRESS:
		return set_address(at, text, f);
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_URL:
		return set_text(k, at, text, f);
	case CONFIG_SECRET:
		return set_secret(at, text, f);
	case CONFIG_BOOL:
		return set_bool(at, text, f);
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return set_number(k, at, text, f);
	case CONFIG_ENUM:
		return set_enum(k, at, text, f);
	case CONFIG_LIST:
	case CONFIG_NETWORKS:
		return set_list(k, at, text, f);
	case CONFIG_ISSUERS:
		break;
	}
	return fail_set(f, E_INTERNAL, "issuers are not a scalar");
}

static enum err list_copy(struct config_list *to, const struct config_list *from)
{
	struct config_list l = { 0 };
	enum err e = OK;

	for (size_t i = 0; e == OK && i < from->n; i++)
		e = config_list_add(&l, str_c(from->v[i]));
	config_list_release(e == OK ? to : &l);
	if (e == OK)
		*to = l;
	return e;
}

static enum err issuer_copy(struct config_issuer *to, const struct config_issuer *from)
{
	if (config_text_set(&to->issuer, str_c(from->issuer)) != OK ||
	    config_text_set(&to->audience, str_c(from->audience)) != OK ||
	    config_text_set(&to->jwks, str_c(from->jwks)) != OK ||
	    config_text_set(&to->subject_claim, str_c(from->subject_claim)) != OK ||
	    config_text_set(&to->scope_claim, str_c(from->scope_claim)) != OK)
		return E_NOMEM;
	return list_copy(&to->algs, &from->algs);
}

static void issuers_release(struct config_issuers *l)
{
	for (size_t i = 0; i < l->n; i++)
		config_issuer_release(&l->v[i]);
	heap_free(l->v);
	*l = (struct config_issuers){ 0 };
}

static enum err issuers_copy(struct config_issuers *to, const struct config_issuers *from)
{
	struct config_issuers l = { heap_zalloc(from->n * sizeof *l.v), from->n };
	enum err e = l.v != NULL ? OK : E_NOMEM;

	if (l.v == NULL)
		return E_NOMEM;
	for (size_t i = 0; e == OK && i < l.n; i++)
		e = issuer_copy(&l.v[i], &from->v[i]);
	issuers_release(e == OK ? to : &l);
	if (e == OK)
		*to = l;
	return e;
}

static enum err networks_copy(struct config_networks *to, const struct config_networks *from)
{
	struct cidr *v = heap_dup(from->v, from->n * sizeof *v);

	if (v == NULL)
		return E_NOMEM;
	heap_free(to->v);
	*to = (struct config_networks){ v, from->n };
	return OK;
}

enum err config_value_copy(const struct config_key *k, void *to, const void *from)
{
	const struct secret *s = from;

	switch (k->kind) {
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_URL:
		return config_text_set(to, str_c(*(char *const *)from));
	case CONFIG_SECRET:
		return set_secret(to, str_n((const char *)s->p, s->n), NULL);
	case CONFIG_LIST:
		return list_copy(to, from);
	case CONFIG_NETWORKS:
		return networks_copy(to, from);
	case CONFIG_ISSUERS:
		return issuers_copy(to, from);
	case CONFIG_ADDRESS:
		*(struct config_addr *)to = *(const struct config_addr *)from;
		break;
	case CONFIG_BOOL:
		*(bool *)to = *(const bool *)from;
		break;
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		*(int64_t *)to = *(const int64_t *)from;
		break;
	case CONFIG_ENUM:
		*(int *)to = *(const int *)from;
		break;
	}
	return OK;
}

static bool text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool list_equal(const struct config_list *a, const struct config_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!text_equal(a->v[i], b->v[i]))
			return false;
	return true;
}

static bool issuer_equal(const struct config_issuer *a, const struct config_issuer *b)
{
	return text_equal(a->issuer, b->issuer) && text_equal(a->audience, b->audience) &&
	    text_equal(a->jwks, b->jwks) && text_equal(a->subject_claim, b->subject_claim) &&
	    text_equal(a->scope_claim, b->scope_claim) && list_equal(&a->algs, &b->algs);
}

static bool issuers_equal(const struct config_issuers *a, const struct config_issuers *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!issuer_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

static bool address_equal(const struct config_addr *a, const struct config_addr *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool networks_equal(const struct config_networks *a, const struct config_networks *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof *a->v) == 0);
}

bool config_value_equal(const struct config_key *k, const void *a, const void *b)
{
	const struct secret *sa = a, *sb = b;

	switch (k->kind) {
	case CONFIG_ADDRESS:
		return address_equal(a, b);
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_URL:
		return text_equal(*(char *const *)a, *(char *const *)b);
	case CONFIG_SECRET:
		return secret_eq(str_n((char *)sa->p, sa->n), str_n((char *)sb->p, sb->n));
	case CONFIG_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return *(const int64_t *)a == *(const int64_t *)b;
	case CONFIG_ENUM:
		return *(const int *)a == *(const int *)b;
	case CONFIG_LIST:
		return list_equal(a, b);
	case CONFIG_NETWORKS:
		return networks_equal(a, b);
	case CONFIG_ISSUERS:
		return issuers_equal(a, b);
	}
	return false;
}

void config_value_release(const struct config_key *k, void *at)
{
	struct config_networks *nets = at;

	switch (k->kind) {
	case CONFIG_STRING:
	case CONFIG_PATH:
	case CONFIG_URL:
		heap_free(*(char **)at);
		*(char **)at = NULL;
		break;
	case CONFIG_SECRET:
		secret_release(at);
		break;
	case CONFIG_LIST:
		config_list_release(at);
		break;
	case CONFIG_NETWORKS:
		heap_free(nets->v);
		*nets = (struct config_networks){ 0 };
		break;
	case CONFIG_ISSUERS:
		issuers_release(at);
		break;
	case CONFIG_ADDRESS:
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
	case CONFIG_ENUM:
		break;
	}
}
