/* Links in mail, given out so that whoever asks for one learns nothing of the address: an account that
 * gets none costs the same write as one that does. An account gets one link of a kind a minute; asking
 * sooner changes nothing, silently. Control lane. */
#ifndef API_LINKS_H
#define API_LINKS_H

#include "base/err.h"
#include "base/str.h"
#include "iam/one_time.h"

struct ctl;
struct user;
struct write;

/* Adds a link of the kind for the user, with its letter, to the write. fold: its address. u NULL (there
 * is no such account, or it is to have no link), too soon, or an address that no mail can be sent to:
 * adds what costs as much and lets nobody in. To poke after the commit whatever it was. */
enum err links_add(struct ctl *c, struct write *w, enum one_time_kind kind, const struct user *u,
    struct str fold, struct fail *f);
/* Tells the user, as often and at the same cost, that somebody signed up with its address. */
enum err links_tell_taken(struct ctl *c, struct write *w, const struct user *u, struct str fold,
    struct fail *f);
/* Tell the user that its password has been changed, that its second factor is gone, that an identity at
 * the OpenID provider signs in as it, or does no longer; an address without mail is not an error. */
void links_password_changed(struct ctl *c, struct write *w, const struct user *u);
void links_mfa_removed(struct ctl *c, struct write *w, const struct user *u);
void links_identity_linked(struct ctl *c, struct write *w, const struct user *u);
void links_identity_unlinked(struct ctl *c, struct write *w, const struct user *u);

#endif
