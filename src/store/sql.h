/* Just enough of SQL's lexical grammar (as SQLite reads it) to split a script into statements and to
 * find the parameters of one. Not a parser; never changes text. Pure functions: any thread. */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "base/str.h"

enum sql_token {
	SQL_END,
	SQL_BLANK,  /* blanks and comments */
	SQL_WORD,   /* keyword, name, number */
	SQL_QUOTED, /* 'text', "name", `name`, [name]; up to the end when it is not closed */
	SQL_PARAM,  /* a lone ? */
	SQL_SEMI,
	SQL_OTHER
};

/* Takes the next token off the front of *rest; *text (may be NULL) is the token. */
enum sql_token sql_next_token(struct str *rest, struct str *text);

/* Takes the next statement off the front of *script, without its semicolon and the blanks and
 * comments around it. CREATE TRIGGER runs to its END. STR_NONE when nothing is left. */
struct str sql_next_statement(struct str *script);

#endif
