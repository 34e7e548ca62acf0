#include "args.h"

#include <stdio.h>
#include <string.h>

#include "base/suggest.h"

struct parser {
	struct args *a;
	char **argv; /* what is left */
	const char *noun;
	size_t operands;
	bool only_operands; /* after -- */
};

const struct arg *command_arg(const struct command *cmd, size_t i)
{
	static const struct {
		unsigned flags;
		const struct arg *arg;
	} by_flag[] = {
		{ CMD_CHANGES | CMD_DESTROYS, &arg_dry_run },
		{ CMD_CHANGES | CMD_DESTROYS, &arg_yes },
		{ CMD_LIST, &arg_limit },
		{ CMD_IF_MATCH, &arg_if_match },
	};

	for (const struct arg *a = cmd != NULL ? cmd->args : NULL; a != NULL && a->name != NULL; a++)
		if (i-- == 0)
			return a;
	for (size_t k = 0; cmd != NULL && k < sizeof by_flag / sizeof *by_flag; k++)
		if ((cmd->flags & by_flag[k].flags) != 0 && i-- == 0)
			return by_flag[k].arg;
	for (const struct arg *a = global_args; a->name != NULL; a++)
		if (i-- == 0)
			return a;
	return NULL;
}

const struct noun *noun_find(const char *name)
{
	for (const struct noun *n = nouns; n->name != NULL; n++)
		if (strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

static const struct command *find_exact(const char *noun, const char *verb)
{
	for (const struct command *c = commands; c->noun != NULL; c++)
		if (strcmp(c->noun, noun) == 0 &&
		    (c->verb == NULL || (verb != NULL && strcmp(c->verb, verb) == 0)))
			return c;
	return NULL;
}

/* What fingers type; understood where the noun has no verb of that name. */
static const struct {
	const char *typed, *meant;
} synonyms[] = {
	{ "add", "create" }, { "new", "create" }, { "ls", "list" },
	{ "remove", "delete" }, { "rm", "delete" }, { "show", "get" },
};

const struct command *command_find(const char *noun, const char *verb)
{
	const struct command *c = find_exact(noun, verb);

	for (size_t i = 0; c == NULL && verb != NULL && i < sizeof synonyms / sizeof *synonyms; i++)
		if (strcmp(synonyms[i].typed, verb) == 0)
			c = find_exact(noun, synonyms[i].meant);
	return c;
}

/* " ; did you mean x?" or nothing. */
static enum err unknown(struct fail *f, const char *what, const char *word,
    const struct suggest *s, const char *see)
{
	const char *near = suggest_get(s);

	if (near != NULL)
		return fail_set(f, E_USAGE, "unknown %s '%s'; did you mean '%s'?", what, word, near);
	return fail_set(f, E_USAGE, "unknown %s '%s'; see %s", what, word, see);
}

static enum err unknown_noun(struct fail *f, const char *word)
{
	struct suggest s = suggest_for(str_c(word));

	for (const struct noun *n = nouns; n->name != NULL; n++)
		suggest_offer(&s, n->name);
	return unknown(f, "command", word, &s, "'gwctl --help'");
}

static enum err unknown_verb(struct fail *f, const char *noun, const char *word)
{
	struct suggest s = suggest_for(str_c(word));
	char see[64];

	for (const struct command *c = commands; c->noun != NULL; c++)
		if (strcmp(c->noun, noun) == 0)
			suggest_offer(&s, c->verb);
	snprintf(see, sizeof see, "'gwctl %s --help'", noun);
	return unknown(f, "verb", word, &s, see);
}

static enum err unknown_option(const struct parser *p, const char *word, struct fail *f)
{
	struct suggest s = suggest_for(str_cut(str_c(word), '=', &(struct str){ 0 }));
	const struct arg *a;

	if (strcmp(word, "--password") == 0 || strncmp(word, "--password=", 11) == 0)
		return fail_set(f, E_USAGE, "a password on the command line can be read by every process; "
		    "use --password-file FILE, or - for stdin");
	for (size_t i = 0; (a = command_arg(p->a->cmd, i)) != NULL; i++)
		if (arg_is_option(a))
			suggest_offer(&s, a->name);
	return unknown(f, "option", word, &s, "--help");
}

static const struct arg *find_option(const struct parser *p, struct str name)
{
	const struct arg *a;

	for (size_t i = 0; (a = command_arg(p->a->cmd, i)) != NULL; i++) {
		if (!arg_is_option(a))
			continue;
		if (str_eqc(name, a->name) || (name.n == 2 && a->letter != 0 && name.p[1] == a->letter))
			return a;
	}
	return NULL;
}

static bool among(const char *words, struct str value)
{
	struct str rest = str_c(words);

	while (rest.p != NULL)
		if (str_eq(value, str_cut(rest, '|', &rest)))
			return true;
	return false;
}

static bool well_formed(const struct arg *a, const char *value)
{
	uint64_t v;

	if (a->words != NULL)
		return among(a->words, str_c(value));
	if (a->type == ARG_BOOL)
		return among("true|false", str_c(value));
	if (a->type == ARG_INT)
		return str_u64(str_c(value), INT64_MAX, &v);
	return true;
}

static enum err keep(struct parser *p, const struct arg *a, const char *value, struct fail *f)
{
	struct args *all = p->a;

	if (!well_formed(a, value))
		return fail_set(f, E_USAGE, "%s: '%s' must be %s", a->name, value,
		    a->words != NULL ? a->words : a->type == ARG_INT ? "a number" : "true or false");
	if (!a->many && args_get(all, a->name) != NULL && arg_is_option(a) && a->type != ARG_FLAG)
		return fail_set(f, E_USAGE, "%s: given twice", a->name);
	if (all->n == ARGS_MAX)
		return fail_set(f, E_USAGE, "more than %d arguments", ARGS_MAX);
	all->v[all->n].arg = a;
	all->v[all->n++].value = value;
	if (strcmp(a->name, "--help") == 0)
		all->help = true;
	return OK;
}

/* The noun is known when its verb, or its first operand, is still to come: options before that can
 * only be global ones. */
static enum err option(struct parser *p, const char *word, struct fail *f)
{
	struct str value, name = str_cut(str_c(word), '=', &value);
	const struct arg *a = find_option(p, name);

	if (a == NULL && word[1] != '-' && word[2] != '\0') { /* -fFILE */
		a = find_option(p, str_n(word, 2));
		value = str_c(word + 2);
	}
	if (a == NULL)
		return unknown_option(p, word, f);
	if (a->type == ARG_FLAG)
		return value.p == NULL ? keep(p, a, "", f) :
		    fail_set(f, E_USAGE, "%s takes no value", a->name);
	if (value.p == NULL) {
		if (*p->argv == NULL)
			return fail_set(f, E_USAGE, "%s needs a value: %s %s", a->name, a->name, a->value);
		value = str_c(*p->argv++);
	}
	return keep(p, a, value.p, f);
}

static const struct arg *next_operand(struct parser *p)
{
	size_t i = 0;

	for (const struct arg *a = p->a->cmd->args; a != NULL && a->name != NULL; a++) {
		if (arg_is_option(a))
			continue;
		if (i == p->operands || a->many)
			return a;
		i++;
	}
	return NULL;
}

/* A word that is no option: noun, verb or operand. */
static enum err word(struct parser *p, const char *w, struct fail *f)
{
	struct args *a = p->a;
	const struct arg *operand;

	if (a->noun == NULL && strcmp(w, "help") == 0) {
		a->help = true;
		return OK;
	}
	if (a->noun == NULL) {
		a->noun = noun_find(w);
		if (a->noun == NULL)
			return unknown_noun(f, w);
		a->cmd = command_find(w, NULL);
		return OK;
	}
	if (a->cmd == NULL) {
		a->cmd = command_find(a->noun->name, w);
		return a->cmd != NULL ? OK : unknown_verb(f, a->noun->name, w);
	}
	operand = next_operand(p);
	if (operand == NULL)
		return fail_set(f, E_USAGE, "'%s' is one argument too many", w);
	p->operands++;
	return keep(p, operand, w, f);
}

static enum err missing(const struct args *a, struct fail *f)
{
	if (a->help || a->cmd == NULL)
		return OK;
	for (const struct arg *r = a->cmd->args; r != NULL && r->name != NULL; r++)
		if (r->required && !args_has(a, r->name))
			return fail_set(f, E_USAGE, "%s%s%s is missing; see 'gwctl %s%s%s --help'", r->name,
			    r->value != NULL ? " " : "", r->value != NULL ? r->value : "", a->cmd->noun,
			    a->cmd->verb != NULL ? " " : "", a->cmd->verb != NULL ? a->cmd->verb : "");
	return OK;
}

enum err args_parse(struct args *a, int argc, char **argv, struct fail *f)
{
	struct parser p = { .a = a, .argv = argv + (argc > 0) };
	enum err e = OK;

	*a = (struct args){ 0 };
	while (e == OK && *p.argv != NULL) {
		const char *w = *p.argv++;

		if (!p.only_operands && strcmp(w, "--") == 0)
			p.only_operands = true;
		else if (!p.only_operands && w[0] == '-' && w[1] != '\0')
			e = option(&p, w, f);
		else
			e = word(&p, w, f);
	}
	return e == OK ? missing(a, f) : e;
}

const char *args_get(const struct args *a, const char *name)
{
	for (size_t i = a->n; i > 0; i--)
		if (strcmp(a->v[i - 1].arg->name, name) == 0)
			return a->v[i - 1].value;
	return NULL;
}
