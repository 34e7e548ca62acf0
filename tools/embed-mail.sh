#!/bin/sh
# Prints a C file with every template named on the command line (share/mail/KIND.txt) as a constant:
# kind and text, byte for byte.
set -eu
echo '/* generated from share/mail/ by tools/embed-mail.sh */'
echo '#include "mail/templates_embedded.h"'
list=
for f in "$@"; do
	kind=${f##*/}; kind=${kind%.txt}
	echo "static const unsigned char text_$kind[] = {"
	od -An -v -tx1 "$f" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '0};'
	list="$list	{ \"$kind\", (const char *)text_$kind, sizeof text_$kind - 1 },
"
done
printf 'const struct template_text mail_templates_embedded[] = {\n%s	{ 0, 0, 0 },\n};\n' "$list"
