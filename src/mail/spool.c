#include "mail/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "mail/message.h"

static enum err failed(struct fail *f, const char *what, const char *name)
{
	return fail_set(f, E_UPSTREAM_FAILED, "%s %s: %s", what, name, strerror(errno));
}

static enum err open_dir(const char *dir, int *fd, struct fail *f)
{
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return failed(f, "cannot make", dir);
	*fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd >= 0 ? OK : failed(f, "cannot open", dir);
}

/* CRLF becomes LF. The copy is never larger, so it is made in one piece and wiped. */
static enum err with_lf(struct str message, struct buf *out)
{
	enum err e = buf_reserve(out, message.n);

	for (size_t i = 0; e == OK && i < message.n; i++)
		if (message.p[i] != '\r' || i + 1 == message.n || message.p[i + 1] != '\n')
			e = buf_addc(out, message.p[i]);
	return e;
}

static enum err write_file(int dir_fd, const char *name, struct str text, struct fail *f)
{
	char hidden[ID_TEXT_LEN + 8] = ".";
	enum err e;
	int fd;

	strcat(hidden, name);
	fd = openat(dir_fd, hidden, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(f, "cannot make", hidden);
	if (!file_write(fd, text))
		e = failed(f, "cannot write", "a mail");
	else
		e = fsync(fd) == 0 ? OK : failed(f, "cannot sync", "a mail");
	if (close(fd) != 0 && e == OK)
		e = failed(f, "cannot close", hidden);
	if (e == OK && renameat(dir_fd, hidden, dir_fd, name) != 0)
		e = failed(f, "cannot rename", hidden);
	if (e == OK && fsync(dir_fd) != 0)
		e = failed(f, "cannot sync the directory of", name);
	if (e != OK)
		unlinkat(dir_fd, hidden, 0);
	return e;
}

enum err spool_write(const char *dir, struct id id, struct str message, struct fail *f)
{
	char name[ID_TEXT_LEN + 4];
	struct buf text;
	int fd = -1;
	enum err e;

	buf_init_secret(&text, MESSAGE_MAX);
	e = with_lf(message, &text);
	if (e != OK)
		fail_set(f, e, "no memory for a mail");
	else
		e = open_dir(dir, &fd, f);
	strcat(id_text(id, name), ".eml");
	if (e == OK)
		e = write_file(fd, name, buf_str(&text), f);
	if (fd >= 0)
		close(fd);
	buf_release(&text);
	return e;
}
