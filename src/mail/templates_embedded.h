/* The templates of share/mail/ as the build embedded them, ended by an entry whose kind is NULL.
 * Constant data: any thread may read it. */
#ifndef MAIL_TEMPLATES_EMBEDDED_H
#define MAIL_TEMPLATES_EMBEDDED_H

#include <stddef.h>

struct template_text {
	const char *kind; /* the file's name without ".txt" */
	const char *text; /* NUL-terminated, as in the file */
	size_t len;       /* bytes of text without the NUL */
};

extern const struct template_text mail_templates_embedded[];

#endif
