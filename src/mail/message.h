/* One message in the form of RFC 5322: plain text from the gateway to one person. Every header is made
 * here and nothing with a control character gets into one, so a name or an address can't add another.
 *
 * Headers are ASCII: what is not goes into encoded-words (RFC 2047), because an encoded-word arrives
 * everywhere and raw UTF-8 (RFC 6532) only where every server on the way speaks SMTPUTF8. An address
 * outside ASCII has no other form and stays UTF-8. The body is 7bit as long as it is ASCII in lines
 * that SMTP allows, so that a link stands in it as it is; quoted-printable otherwise, never 8bit,
 * because libcurl does not negotiate 8BITMIME. Pure functions: any thread. */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/str.h"

#define MESSAGE_MAX (64u << 10) /* bytes of a whole message */

/* "Name <local@domain>" or "local@domain". */
struct mailbox {
	struct str name; /* .p NULL: none; without its quotes */
	struct str addr;
};
/* False when the address is none (iam/email.h) or the name is not UTF-8 in one line. Points into s. */
bool mailbox_parse(struct str s, struct mailbox *out);
/* Appends the address as SMTP and headers want it: its local part quoted where that is needed
 * (RFC 5321, 4.1.2). E_INVALID_FIELD when it is none. */
enum err mailbox_address(struct str addr, struct buf *out);

struct message {
	struct id id;        /* makes the Message-ID: the same for every attempt to deliver */
	int64_t date;        /* wall, microseconds */
	struct mailbox from, to;
	struct str subject;  /* UTF-8, one line */
	struct str text;     /* UTF-8; lines end with LF or CRLF */
};

/* Appends the message, with CRLF at the end of each line. E_INVALID_FIELD: a control character (CR and
 * LF above all) in a header, text that is not UTF-8, an address that is none; f names the field.
 * E_LIMIT, E_NOMEM. */
enum err message_write(const struct message *m, struct buf *out, struct fail *f);

#endif
