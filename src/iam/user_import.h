/* Users of elsewhere, taken over many at a time with the password hashes they have there: one read and
 * one statement for all of them. Who may, and whether each is well-formed, is decided above.
 * Blocking where a store is given: control lane. */
#ifndef IAM_USER_IMPORT_H
#define IAM_USER_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

struct arena;
struct store;
struct write;

#define USER_IMPORT_MAX 500 /* at a time */

enum user_import_state {
	USER_IMPORT_NEW,
	USER_IMPORT_SAME, /* there already, with this very hash (or like it without one) */
	USER_IMPORT_TAKEN /* somebody has the address: in the store, or before it in the same list */
};

struct user_import {
	size_t place;            /* in the list: the first one with an address has it */
	struct id id;            /* of the new user; user_import_look puts that of SAME here */
	struct str email, fold;  /* fold: as email_fold made it */
	struct str display_name; /* .p NULL: none */
	struct str phc;          /* .p NULL: none */
	bool verified, disabled;
	enum user_import_state state;
};

/* Finds out each one's state, as of now. n is at most USER_IMPORT_MAX. */
enum err user_import_look(struct store *s, struct user_import *const *u, size_t n, struct arena *a,
    struct fail *f);
/* Adds all that are NEW; E_EMAIL_TAKEN when somebody took one of the addresses since: look again. No
 * change row: no cache can know of ids that are being made. */
void user_import_insert(struct write *w, struct user_import *const *u, size_t n, struct id creator);

#endif
