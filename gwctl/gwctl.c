#include "gwctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "client/client.h"
#include "prompt.h"

#define MAX_FILE (8u << 20)

enum err gwctl_confirm(const struct gwctl *g, const char *question, struct fail *f)
{
	if (args_has(&g->args, "--yes"))
		return OK;
	if (!prompt_possible())
		return fail_set(f, E_USAGE, "%s Without a terminal, say so by --yes", question);
	return prompt_confirm(question, f);
}

enum err gwctl_read_file(const char *path, char **text, size_t *n, struct fail *f)
{
	bool from_stdin = strcmp(path, "-") == 0;
	FILE *in = from_stdin ? stdin : fopen(path, "re");
	enum err e = OK;
	struct buf b;
	size_t got;

	if (in == NULL)
		return fail_set(f, E_LOCAL, "%s: %s", path, strerror(errno));
	buf_init(&b, MAX_FILE);
	do {
		e = buf_reserve(&b, 65536);
		got = e == OK ? fread(b.p + b.n, 1, 65536, in) : 0;
		b.n += got;
	} while (got > 0);
	if (e != OK || ferror(in) || buf_cstr(&b) == NULL)
		e = fail_set(f, E_LOCAL, "%s: %s", path, e == E_LIMIT ? "too large" : strerror(errno));
	if (!from_stdin)
		fclose(in);
	if (e != OK) {
		buf_release(&b);
		return e;
	}
	*text = b.p;
	*n = b.n;
	return OK;
}

/* An option, else the environment; an empty variable is none. */
static const char *setting(const struct gwctl *g, const char *option, const char *variable)
{
	const char *given = gwctl_arg(g, option), *env = getenv(variable);

	return given != NULL ? given : env != NULL && env[0] != '\0' ? env : NULL;
}

enum err gwctl_client(struct gwctl *g, struct fail *f)
{
	bool login = g->args.cmd->run == login_run;
	struct client_config c = {
		.servers = setting(g, "--server", "GWCTL_SERVER"),
		.context = setting(g, "--context", "GWCTL_CONTEXT"),
		.ca = setting(g, "--ca", "GWCTL_CA"),
		.token = login ? NULL : getenv("GWCTL_TOKEN"),
		.user_agent = "gwctl/" GW_VERSION,
		.new_context = login,
	};

	if (c.token != NULL && c.token[0] == '\0')
		c.token = NULL;
	return g->client != NULL ? OK : client_new(&c, &g->client, f);
}

enum err version_run(struct gwctl *g, struct fail *f)
{
	(void)g;
	(void)f;
	puts("gwctl " GW_VERSION);
	return OK;
}
