/* Mail from handlers: what all letters have in common comes from the configuration. Control lane. */
#ifndef API_LETTERS_H
#define API_LETTERS_H

#include "base/err.h"

struct ctl;
struct letter;
struct write;

/* Adds a letter to the write (mail/letter.h): sent when, and only when, the write is made. */
enum err letters_add(struct ctl *c, struct write *w, const struct letter *l, struct fail *f);
/* After the commit of a write with letters: they leave now and not at the next poll. */
void letters_poke(struct ctl *c);

#endif
