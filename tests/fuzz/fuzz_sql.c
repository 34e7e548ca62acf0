/* The splitter of SQL scripts: tokens cover the text, statements are parts of it in order, and what
 * SQLite calls complete never falls into two halves. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "store/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void tokens(struct str s)
{
	const char *at = s.p;
	struct str rest = s, text;

	while (sql_next_token(&rest, &text) != SQL_END) {
		if (text.p != at || text.n == 0)
			abort();
		at += text.n;
	}
	if (at != s.p + s.n)
		abort();
}

static bool is_complete(struct str st)
{
	char *z = malloc(st.n + 2);
	bool yes;

	memcpy(z, st.p, st.n);
	memcpy(z + st.n, ";", 2);
	yes = sqlite3_complete(z);
	free(z);
	return yes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_n((const char *)data, n), st;
	const char *end = rest.p;

	tokens(rest);
	if (memchr(data, 0, n) != NULL)
		return 0; /* the scripts are C strings to SQLite */
	while ((st = sql_next_statement(&rest)).p != NULL) {
		if (st.n == 0 || st.p < end)
			abort();
		end = st.p + st.n;
		if (rest.n > 0 && !is_complete(st))
			abort();
	}
	return 0;
}
