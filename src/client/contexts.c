#include "client/contexts.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/heap.h"

#define FILE_MAX (1u << 20)

static enum err local(struct fail *f, const char *path)
{
	return fail_set(f, E_LOCAL, "%s: %s", path, strerror(errno));
}

/* ---- where ---- */

static enum err find_dir(const char *dir, struct buf *out, struct fail *f)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (dir != NULL)
		buf_addz(out, dir);
	else if (xdg != NULL && xdg[0] == '/')
		buf_printf(out, "%s/gateway", xdg);
	else if (home != NULL && home[0] == '/')
		buf_printf(out, "%s/.config/gateway", home);
	else
		return fail_set(f, E_LOCAL, "neither XDG_CONFIG_HOME nor HOME says where contexts are kept");
	return buf_cstr(out) != NULL && !out->failed ? OK : fail_set(f, E_NOMEM, "no memory");
}

/* mkdir -p of the directory that the file is in; private. */
static enum err make_dir(const char *file, struct fail *f)
{
	char *path = heap_strdup(file), *slash;
	enum err e = path != NULL ? OK : fail_set(f, E_NOMEM, "no memory");

	for (slash = path != NULL ? strchr(path + 1, '/') : NULL; e == OK && slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			e = local(f, path);
		*slash = '/';
	}
	heap_free(path);
	return e;
}

/* ---- the file ---- */

static enum err read_all(int fd, struct buf *b)
{
	ssize_t n = 1;

	while (n > 0) {
		if (buf_reserve(b, 8192) != OK)
			return E_LOCAL;
		n = read(fd, b->p + b->n, 8192);
		b->n += n > 0 ? (size_t)n : 0;
	}
	return n == 0 ? OK : E_LOCAL;
}

static enum err parse(struct contexts *c, const struct buf *b, struct fail *f)
{
	json_t *root = json_loadb(b->p, b->n, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(root) || !json_is_object(json_object_get(root, "contexts"))) {
		json_decref(root);
		return fail_set(f, E_LOCAL, "%s: not a file of contexts; remove it and sign in again",
		    c->path);
	}
	json_decref(c->root);
	c->root = root;
	return OK;
}

static enum err empty(struct contexts *c, struct fail *f)
{
	json_decref(c->root);
	c->root = json_pack("{sn,s{}}", "current", "contexts");
	return c->root != NULL ? OK : fail_set(f, E_NOMEM, "no memory");
}

static enum err load(struct contexts *c, struct fail *f)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct buf b;
	enum err e;

	if (fd < 0)
		return errno == ENOENT ? empty(c, f) : local(f, c->path);
	buf_init_secret(&b, FILE_MAX);
	if (fstat(fd, &st) != 0)
		e = local(f, c->path);
	else if ((st.st_mode & 077) != 0)
		e = fail_set(f, E_LOCAL, "%s: others may read it; run 'chmod 600 %s' and sign in again",
		    c->path, c->path);
	else if (read_all(fd, &b) != OK)
		e = local(f, c->path);
	else
		e = parse(c, &b, f);
	close(fd);
	buf_release(&b);
	return e;
}

enum err contexts_open(struct contexts *c, const char *dir, struct fail *f)
{
	struct buf path;
	enum err e;

	*c = (struct contexts){ .lock = -1 };
	buf_init(&path, 4096);
	e = find_dir(dir, &path, f);
	if (e == OK) {
		buf_addz(&path, "/contexts.json");
		if (buf_cstr(&path) == NULL || path.failed)
			e = fail_set(f, E_NOMEM, "no memory");
	}
	if (e != OK) {
		buf_release(&path);
		return e;
	}
	c->path = path.p;
	e = load(c, f);
	if (e != OK)
		contexts_close(c);
	return e;
}

void contexts_close(struct contexts *c)
{
	contexts_unlock(c);
	json_decref(c->root);
	heap_free(c->path);
	*c = (struct contexts){ .lock = -1 };
}

enum err contexts_lock(struct contexts *c, struct fail *f)
{
	char path[4200];
	enum err e = make_dir(c->path, f);

	if (e != OK)
		return e;
	snprintf(path, sizeof path, "%s.lock", c->path);
	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock < 0)
		return local(f, path);
	while (flock(c->lock, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		e = local(f, path);
		contexts_unlock(c);
		return e;
	}
	e = load(c, f);
	if (e != OK)
		contexts_unlock(c);
	return e;
}

void contexts_unlock(struct contexts *c)
{
	if (c->lock >= 0)
		close(c->lock);
	c->lock = -1;
}

/* A rename is durable once its directory is. */
static void sync_dir(const char *path)
{
	char dir[4200];
	char *slash;
	int fd;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL)
		return;
	*slash = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

enum err contexts_save(struct contexts *c, struct fail *f)
{
	char tmp[4200];
	enum err e = OK;
	int fd;

	snprintf(tmp, sizeof tmp, "%s.new", c->path);
	(void)unlink(tmp); /* of a process that was killed: we hold the lock */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return local(f, tmp);
	if (json_dumpfd(c->root, fd, JSON_INDENT(2)) != 0 || write(fd, "\n", 1) != 1 || fsync(fd) != 0)
		e = local(f, tmp);
	if (close(fd) != 0 && e == OK)
		e = local(f, tmp);
	if (e == OK && rename(tmp, c->path) != 0)
		e = local(f, c->path);
	if (e == OK)
		sync_dir(c->path);
	else
		(void)unlink(tmp);
	return e;
}

/* ---- what is in it ---- */

const char *contexts_current(const struct contexts *c)
{
	return json_string_value(json_object_get(c->root, "current"));
}

struct json_t *contexts_get(const struct contexts *c, const char *name)
{
	json_t *o = name != NULL ? json_object_get(json_object_get(c->root, "contexts"), name) : NULL;

	return json_is_object(o) ? o : NULL;
}

static bool has_server(const json_t *context, struct str server)
{
	const json_t *list = json_object_get(context, "servers");

	while (server.n > 0 && server.p[server.n - 1] == '/')
		server.n--;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(server, str_c(json_string_value(json_array_get(list, i)))))
			return true;
	return false;
}

bool context_has_servers(const struct json_t *context, const char *servers)
{
	struct str rest = str_c(servers);

	while (rest.p != NULL) {
		struct str one = str_trim(str_cut(rest, ',', &rest));

		if (one.n > 0 && !has_server(context, one))
			return false;
	}
	return context != NULL;
}

const char *contexts_by_servers(const struct contexts *c, const char *servers)
{
	const char *current = contexts_current(c), *name;
	json_t *context;

	if (context_has_servers(contexts_get(c, current), servers))
		return current;
	json_object_foreach(json_object_get(c->root, "contexts"), name, context)
		if (context_has_servers(context, servers))
			return name;
	return NULL;
}
