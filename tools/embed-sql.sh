#!/bin/sh
# Prints a C file with every migration named on the command line as a constant: version, name, text.
# The version is the file's leading number; the text is embedded byte for byte (hex), so that its
# checksum is that of the file.
set -eu
echo '/* generated from migrations/ by tools/embed-sql.sh */'
echo '#include "store/migrations_embedded.h"'
list=
for f in "$@"; do
	base=${f##*/}; base=${base%.sql}
	ver=${base%%_*}; name=${base#*_}
	echo "static const unsigned char sql_$ver[] = {"
	od -An -v -tx1 "$f" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g'
	echo '0};'
	n=$(echo "$ver" | sed 's/^0*//')
	list="$list	{ $n, \"$name\", (const char *)sql_$ver, sizeof sql_$ver - 1 },
"
done
printf 'const struct migration migrations_embedded[] = {\n%s	{ 0, 0, 0, 0 },\n};\n' "$list"
