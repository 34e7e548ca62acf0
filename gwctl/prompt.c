#include "prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/heap.h"

#define MAX_LINE 1024

bool prompt_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* Reads until the line ends; the terminal passes every key on, so that ^C can't leave it silent. */
static enum err read_keys(int tty, char *line, size_t *n, struct fail *f)
{
	char c;

	*n = 0;
	while (read(tty, &c, 1) == 1 && c != '\n' && c != '\r') {
		if (c == 3 || (c == 4 && *n == 0)) /* ^C, ^D */
			return fail_set(f, E_LOCAL, "cancelled");
		if (c == 0x7f || c == 8) { /* a whole UTF-8 character */
			while (*n > 0 && (line[--*n] & 0xc0) == 0x80)
				;
		} else if (c == 21) { /* ^U */
			*n = 0;
		} else if (*n < MAX_LINE) {
			line[(*n)++] = c;
		} else {
			return fail_set(f, E_LOCAL, "the line is too long");
		}
	}
	return OK;
}

enum err prompt_secret(const char *question, struct secret *out, struct fail *f)
{
	struct termios was, silent;
	char line[MAX_LINE];
	size_t n = 0;
	enum err e;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty < 0 || tcgetattr(tty, &was) != 0) {
		if (tty >= 0)
			close(tty);
		return fail_set(f, E_USAGE, "there is no terminal to ask for %s at; use --password-file "
		    "FILE, or - for stdin", question);
	}
	silent = was;
	silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG);
	tcsetattr(tty, TCSAFLUSH, &silent); /* before the question: an answer may come at once */
	dprintf(tty, "%s: ", question);
	e = read_keys(tty, line, &n, f);
	tcsetattr(tty, TCSAFLUSH, &was);
	dprintf(tty, "\n");
	close(tty);
	if (e == OK)
		e = secret_set(out, line, n) == OK ? OK : fail_set(f, E_NOMEM, "no memory");
	secret_wipe(line, sizeof line);
	return e;
}

enum err prompt_new_secret(const char *question, struct secret *out, struct fail *f)
{
	struct secret again = { 0 };
	enum err e = prompt_secret(question, out, f);

	if (e == OK)
		e = prompt_secret("again", &again, f);
	if (e == OK && !secret_eq(str_n((char *)out->p, out->n), str_n((char *)again.p, again.n)))
		e = fail_set(f, E_LOCAL, "the two differ");
	secret_release(&again);
	return e;
}

enum err prompt_line(const char *question, char **out, struct fail *f)
{
	char line[MAX_LINE];

	fprintf(stderr, "%s: ", question);
	fflush(stderr);
	if (fgets(line, sizeof line, stdin) == NULL)
		return fail_set(f, E_LOCAL, "cancelled");
	line[strcspn(line, "\r\n")] = '\0';
	*out = heap_strdup(line);
	return *out != NULL ? OK : fail_set(f, E_NOMEM, "no memory");
}

enum err prompt_secret_file(const char *path, struct secret *out, struct fail *f)
{
	bool from_stdin = strcmp(path, "-") == 0;
	int fd = from_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	char text[MAX_LINE];
	size_t n = 0, len;
	ssize_t got;
	enum err e;

	if (fd < 0)
		return fail_set(f, E_LOCAL, "%s: %s", path, strerror(errno));
	while (n < sizeof text && (got = read(fd, text + n, sizeof text - n)) > 0)
		n += (size_t)got;
	if (!from_stdin)
		close(fd);
	for (len = 0; len < n && text[len] != '\n' && text[len] != '\r'; len++)
		;
	if (len == sizeof text)
		e = fail_set(f, E_LOCAL, "%s: the first line is too long", path);
	else if (len == 0)
		e = fail_set(f, E_LOCAL, "%s: the first line is empty", path);
	else
		e = secret_set(out, text, len) == OK ? OK : fail_set(f, E_NOMEM, "no memory");
	secret_wipe(text, sizeof text);
	return e;
}

enum err prompt_confirm(const char *question, struct fail *f)
{
	char *answer = NULL, asked[512];
	enum err e;

	snprintf(asked, sizeof asked, "%s [y/N]", question);
	e = prompt_line(asked, &answer, f);
	if (e == OK && strcasecmp(answer, "y") != 0 && strcasecmp(answer, "yes") != 0)
		e = fail_set(f, E_LOCAL, "cancelled");
	heap_free(answer);
	return e;
}
