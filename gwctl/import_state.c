#include "import_state.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define PATH_LEN 4096

static const struct {
	const char *name;
	size_t offset;
} members[] = {
	{ "size", offsetof(struct import_state, size) },
	{ "mtime", offsetof(struct import_state, mtime) },
	{ "inode", offsetof(struct import_state, inode) },
	{ "offset", offsetof(struct import_state, offset) },
	{ "line", offsetof(struct import_state, line) },
	{ "created", offsetof(struct import_state, created) },
	{ "unchanged", offsetof(struct import_state, unchanged) },
	{ "rejected", offsetof(struct import_state, rejected) },
	{ "reject_size", offsetof(struct import_state, reject_size) },
};

#define MEMBERS (sizeof members / sizeof *members)

static int64_t *member(struct import_state *s, size_t i)
{
	return (int64_t *)((char *)s + members[i].offset);
}

void import_state_new(struct import_state *s, const struct stat *file)
{
	*s = (struct import_state){ .size = file->st_size, .inode = (int64_t)file->st_ino,
		.mtime = file->st_mtim.tv_sec * CLOCK_SEC + file->st_mtim.tv_nsec / 1000 };
	id_text(id_new(clock_wall()), s->import);
}

static bool take(const json_t *o, struct import_state *s)
{
	const char *import = json_string_value(json_object_get(o, "import"));

	if (import == NULL || strlen(import) != ID_TEXT_LEN - 1)
		return false;
	memcpy(s->import, import, ID_TEXT_LEN);
	for (size_t i = 0; i < MEMBERS; i++) {
		const json_t *v = json_object_get(o, members[i].name);

		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return false;
		*member(s, i) = json_integer_value(v);
	}
	return true;
}

enum err import_state_load(const char *path, const struct stat *file, struct import_state *s,
    bool *found, struct fail *f)
{
	struct import_state was, now;
	json_error_t why;
	json_t *o;

	*found = false;
	if (access(path, F_OK) != 0)
		return errno == ENOENT ? OK : fail_set(f, E_LOCAL, "%s: %s", path, strerror(errno));
	o = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (o == NULL || !take(o, &was)) {
		json_decref(o);
		return fail_set(f, E_LOCAL, "%s is not what an import left; remove it to begin anew", path);
	}
	json_decref(o);
	import_state_new(&now, file);
	*found = was.size == now.size && was.mtime == now.mtime && was.inode == now.inode;
	if (*found)
		*s = was;
	return OK;
}

static enum err write_file(const char *path, const struct import_state *s)
{
	struct import_state copy = *s;
	json_t *o = json_pack("{ss}", "import", s->import);
	enum err e = OK;

	for (size_t i = 0; i < MEMBERS; i++)
		if (json_object_set_new(o, members[i].name, json_integer(*member(&copy, i))) != 0)
			e = E_LOCAL;
	if (e == OK && json_dump_file(o, path, JSON_INDENT(1)) != 0)
		e = E_LOCAL;
	json_decref(o);
	return e;
}

enum err import_state_save(const char *path, const struct import_state *s, struct fail *f)
{
	char tmp[PATH_LEN];

	if ((size_t)snprintf(tmp, sizeof tmp, "%s.new", path) >= sizeof tmp)
		return fail_set(f, E_USAGE, "the name of the file is too long");
	if (write_file(tmp, s) != OK || rename(tmp, path) != 0)
		return fail_set(f, E_LOCAL, "%s: %s", path, strerror(errno));
	return OK;
}
