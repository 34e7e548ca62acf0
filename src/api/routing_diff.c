#include "api/routing_diff.h"

/* "~" and "/" of a name are escaped in a pointer. */
static void write_path(struct jsonw *w, const char *section, struct str name)
{
	char text[1024];
	struct buf path = { .p = text, .cap = sizeof text, .max = sizeof text - 1 };

	buf_addc(&path, '/');
	buf_addz(&path, section);
	buf_addc(&path, '/');
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '~' || name.p[i] == '/')
			buf_addz(&path, name.p[i] == '~' ? "~0" : "~1");
		else
			buf_addc(&path, name.p[i]);
	jsonw_kstr(w, "path", buf_str(&path));
}

static void write_change(struct jsonw *w, const struct route_change *c)
{
	jsonw_obj(w);
	jsonw_kz(w, "op", c->from == NULL ? "add" : c->to == NULL ? "remove" : "replace");
	write_path(w, route_change_section(c), c->name);
	jsonw_key(w, "from");
	route_change_write(w, c, c->from);
	jsonw_key(w, "to");
	route_change_write(w, c, c->to);
	jsonw_obj_end(w);
}

void routing_diff_write(struct jsonw *w, const struct route_diff *d)
{
	jsonw_arr(w);
	for (size_t i = 0; i < d->n; i++)
		write_change(w, &d->v[i]);
	jsonw_arr_end(w);
}
