#include "iam/user_import.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "iam/write.h"
#include "store/store.h"

#define JSON_MAX (16u << 20)

static int by_fold(const void *x, const void *y)
{
	const struct user_import *a = *(struct user_import *const *)x;
	const struct user_import *b = *(struct user_import *const *)y;
	int c = memcmp(a->fold.p, b->fold.p, a->fold.n < b->fold.n ? a->fold.n : b->fold.n);

	if (c != 0 || a->fold.n != b->fold.n)
		return c != 0 ? c : a->fold.n < b->fold.n ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

/* The list by address, and whoever comes second with one. */
static struct user_import **sort(struct user_import *const *u, size_t n, struct arena *a)
{
	struct user_import **sorted = arena_alloc(a, (n + 1) * sizeof *sorted);

	if (sorted == NULL)
		return NULL;
	memcpy(sorted, u, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_fold);
	for (size_t i = 0; i < n; i++)
		sorted[i]->state = i > 0 && str_eq(sorted[i]->fold, sorted[i - 1]->fold) ?
		    USER_IMPORT_TAKEN : USER_IMPORT_NEW;
	return sorted;
}

/* The first one with the address: rows come in the order of addresses too, so *at only moves on. */
static struct user_import *next_with(struct user_import *const *sorted, size_t n, size_t *at,
    struct str fold)
{
	while (*at < n && !str_eq(sorted[*at]->fold, fold))
		++*at;
	return *at < n ? sorted[*at] : NULL;
}

static void compare(struct user_import *u, struct id id, struct str phc)
{
	if ((phc.p == NULL) != (u->phc.p == NULL) || (phc.p != NULL && !str_eq(phc, u->phc))) {
		u->state = USER_IMPORT_TAKEN;
		return;
	}
	u->state = USER_IMPORT_SAME;
	u->id = id;
}

enum err user_import_look(struct store *s, struct user_import *const *u, size_t n, struct arena *a,
    struct fail *f)
{
	struct user_import **sorted = sort(u, n, a), *known;
	struct store_rows rows;
	size_t at = 0;
	struct buf text;
	struct jsonw w;
	enum err e;

	if (sorted == NULL)
		return fail_code(f, E_NOMEM);
	buf_init(&text, JSON_MAX);
	w = jsonw_on(&text);
	jsonw_arr(&w);
	for (size_t i = 0; i < n; i++)
		jsonw_str(&w, sorted[i]->fold);
	jsonw_arr_end(&w);
	e = buf_err(&text) != OK ? fail_code(f, buf_err(&text)) : store_read(s, STORE_LINEAR,
	    &(const struct store_stmt)STMT("SELECT u.id, u.email_fold, u.password_phc FROM json_each(?) j"
	        " CROSS JOIN user u ON u.email_fold = j.value ORDER BY u.email_fold",
	        SV_TEXT(buf_str(&text))), 1, a, &rows, f);
	buf_release(&text);
	for (size_t i = 0; e == OK && i < rows.nrows; i++) {
		known = next_with(sorted, n, &at, store_str(&rows, i, 1));
		if (known != NULL && known->state == USER_IMPORT_NEW)
			compare(known, store_id(&rows, i, 0), store_str(&rows, i, 2));
	}
	return e;
}

/* [email, fold, display_name, phc, verified, disabled] */
static void add_row(struct jsonw *w, const struct user_import *u)
{
	jsonw_arr(w);
	jsonw_str(w, u->email);
	jsonw_str(w, u->fold);
	jsonw_str(w, u->display_name);
	jsonw_str(w, u->phc);
	jsonw_int(w, u->verified);
	jsonw_int(w, u->disabled);
	jsonw_arr_end(w);
}

static void insert(struct write *w, struct str rows, struct str ids, struct id creator, size_t n)
{
	struct store_stmt s = STMT1(E_EMAIL_TAKEN,
	    "INSERT INTO user (id, email, email_fold, display_name, password_phc, password_changed_at,"
	    " email_verified_at, disabled, created_by, created_at, updated_at)"
	    " SELECT substr(?, j.key * 16 + 1, 16), json_extract(j.value, '$[0]'),"
	    " json_extract(j.value, '$[1]'), json_extract(j.value, '$[2]'), json_extract(j.value, '$[3]'),"
	    " CASE WHEN json_extract(j.value, '$[3]') IS NULL THEN NULL ELSE ? END,"
	    " CASE WHEN json_extract(j.value, '$[4]') THEN ? ELSE NULL END,"
	    " json_extract(j.value, '$[5]'), ?, ?, ? FROM json_each(?) j WHERE NOT EXISTS"
	    " (SELECT 1 FROM user u WHERE u.email_fold = json_extract(j.value, '$[1]'))",
	    SV_BLOB(ids), SV_INT(w->now), SV_INT(w->now), SV_ID(&creator), SV_INT(w->now),
	    SV_INT(w->now), SV_TEXT(rows));

	s.expect = (int)n;
	write_add(w, &s);
}

void user_import_insert(struct write *w, struct user_import *const *u, size_t n, struct id creator)
{
	struct buf rows, ids;
	struct jsonw j;
	size_t new = 0;

	buf_init(&rows, JSON_MAX);
	buf_init(&ids, USER_IMPORT_MAX * sizeof(struct id));
	j = jsonw_on(&rows);
	jsonw_arr(&j);
	for (size_t i = 0; i < n; i++) {
		if (u[i]->state != USER_IMPORT_NEW)
			continue;
		add_row(&j, u[i]);
		buf_add(&ids, u[i]->id.b, sizeof u[i]->id.b);
		new++;
	}
	jsonw_arr_end(&j);
	if (buf_err(&rows) != OK || buf_err(&ids) != OK)
		w->err = buf_err(&rows) != OK ? buf_err(&rows) : buf_err(&ids);
	else if (new > 0)
		insert(w, buf_str(&rows), buf_str(&ids), creator, new);
	buf_release(&rows);
	buf_release(&ids);
}
