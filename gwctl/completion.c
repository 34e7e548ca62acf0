/* gwctl completion: small scripts that ask gwctl itself for candidates, so that the table is the only
 * place where words are. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "gwctl.h"

static const char bash[] =
    "_gwctl() {\n"
    "\tlocal IFS=$'\\n'\n"
    "\tCOMPREPLY=($(compgen -W \"$(gwctl --complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\""
    " -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "\t[ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "}\n"
    "complete -F _gwctl gwctl\n";

static const char zsh[] =
    "#compdef gwctl\n"
    "_gwctl() {\n"
    "\tlocal -a found\n"
    "\tfound=(${(f)\"$(gwctl --complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
    "\tif (( ${#found} )); then compadd -- $found; else _files; fi\n"
    "}\n"
    "compdef _gwctl gwctl\n";

static const char fish[] =
    "function __gwctl_complete\n"
    "\tset -l words (commandline -opc) (commandline -ct)\n"
    "\tgwctl --complete $words[2..-1] 2>/dev/null\n"
    "end\n"
    "complete -c gwctl -a '(__gwctl_complete)'\n";

enum err completion_run(struct gwctl *g, struct fail *f)
{
	const char *shell = gwctl_arg(g, "SHELL");

	(void)f;
	fputs(strcmp(shell, "bash") == 0 ? bash : strcmp(shell, "zsh") == 0 ? zsh : fish, stdout);
	return OK;
}

static void offer(const char *candidate, struct str typed)
{
	if (str_starts(str_c(candidate), typed))
		puts(candidate);
}

static void offer_words(const char *words, struct str typed)
{
	struct str rest = str_c(words);

	while (rest.p != NULL) {
		struct str w = str_cut(rest, '|', &rest);

		if (str_starts(w, typed))
			printf("%.*s\n", STR_ARG(w));
	}
}

static const struct arg *option_of(const struct command *c, const char *word)
{
	const struct arg *a;

	for (size_t i = 0; (a = command_arg(c, i)) != NULL; i++)
		if (arg_is_option(a) && strcmp(a->name, word) == 0)
			return a;
	return NULL;
}

static void offer_verbs(const struct noun *noun, struct str typed)
{
	for (const struct command *c = commands; c->noun != NULL; c++)
		if (c->verb != NULL && strcmp(c->noun, noun->name) == 0)
			offer(c->verb, typed);
}

static void offer_args(const struct command *c, struct str typed)
{
	const struct arg *a;

	for (size_t i = 0; (a = command_arg(c, i)) != NULL; i++) {
		if (arg_is_option(a) && typed.n > 0)
			offer(a->name, typed);
		else if (!arg_is_option(a) && a->words != NULL)
			offer_words(a->words, typed);
	}
}

void completion_candidates(int argc, char **argv)
{
	struct str typed = str_c(argv[argc - 1]);
	const struct noun *noun = NULL;
	const struct command *cmd = NULL;
	const struct arg *pending = NULL; /* an option that waits for its value */

	for (int i = 0; i < argc - 1; i++) {
		if (pending != NULL) {
			pending = NULL;
		} else if (argv[i][0] == '-') {
			pending = option_of(cmd, argv[i]);
			if (pending != NULL && pending->value == NULL)
				pending = NULL;
		} else if (noun == NULL) {
			noun = noun_find(argv[i]);
			cmd = noun != NULL ? command_find(argv[i], NULL) : NULL;
		} else if (cmd == NULL) {
			cmd = command_find(noun->name, argv[i]);
		}
	}
	if (pending != NULL) {
		if (pending->words != NULL)
			offer_words(pending->words, typed);
	} else if (cmd != NULL || (typed.n > 0 && typed.p[0] == '-')) {
		offer_args(cmd, typed);
	} else if (noun != NULL) {
		offer_verbs(noun, typed);
	} else {
		for (const struct noun *n = nouns; n->name != NULL; n++)
			offer(n->name, typed);
	}
}
