/* E-mail addresses as names of accounts: what is accepted, and the form in which two are compared.
 * Pure functions: any thread. */
#ifndef IAM_EMAIL_H
#define IAM_EMAIL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define EMAIL_MAX 254 /* RFC 5321, 4.5.3.1.3 less the angle brackets */

/* One "@" between something and a domain of non-empty labels, UTF-8, no blanks, nothing invisible, at
 * most EMAIL_MAX bytes of which 64 before the "@". Not a proof that mail arrives there. */
bool email_is_valid(struct str email);
/* Unicode case folding of the NFC form, in the arena. E_INVALID_FIELD when not valid, E_NOMEM. */
enum err email_fold(struct str email, struct arena *a, struct str *out);
/* Whether nothing but the case of ASCII letters differs. Folding is for "is the name taken", and
 * takes more for the same ("ß" for "ss") than whoever delivers mail does: it proves nothing about
 * whose a mailbox is. */
bool email_is_same(struct str a, struct str b);

#endif
