#!/bin/bash
# Holds the tree to its rules: includes point one way between rooms, headers are self-contained and
# guarded, files and functions stay short, nothing unfinished is left. Prints each fault; exits 1.
set -u
cd "$(dirname "$0")/.."
faults=0
fault() { echo "lint: $*"; faults=$((faults + 1)); }

# base <- obs <- crypto <- ... <- front; a room may include itself and what stands before it.
rooms=(base obs crypto store request iam mail authz authn routing upstream proxy api front)
declare -A rank
for i in "${!rooms[@]}"; do rank[${rooms[$i]}]=$i; done
rank[client]=0 # libgwclient stands on base alone
while IFS=: read -r file _ line; do
	room=${file#src/}; room=${room%%/*}
	inc=$(sed -n 's/.*#include "\([a-z0-9_]*\)\/.*/\1/p' <<<"$line")
	[ -n "$inc" ] || continue
	[ -n "${rank[$inc]+x}" ] || { fault "$file includes \"$inc/\", which is no room"; continue; }
	if [ "$inc" != "$room" ] && [ "${rank[$inc]}" -ge "${rank[$room]}" ] &&
		! { [ "$room" = client ] && [ "$inc" = base ]; }; then
		fault "$file: $room must not include $inc"
	fi
done < <(grep -n '#include "' src/*/*.[ch])

for h in src/*/*.h; do
	room=${h#src/}; guard=$(tr 'a-z/.-' 'A-Z___' <<<"$room")
	grep -q "^#ifndef $guard$" "$h" || fault "$h: no include guard $guard"
	head -1 "$h" | grep -q '^/\*' || fault "$h: does not open with a paragraph"
done

for f in $(git ls-files '*.c' '*.h' '*.def'); do
	[ -f "$f" ] || continue
	n=$(wc -l <"$f")
	most=800
	case $f in tests/*) most=1200 ;; esac # tables of cases are long, and hostile bytes wide
	[ "$n" -le $most ] || fault "$f: $n lines ($most at most)"
	awk -v f="$f" '/^[a-z].*\(/{name=$0} /^\{/{s=NR} /^\}/{if(s&&NR-s>100)print f": a function of "NR-s" lines: "name; s=0}
		f !~ /\.def$|^tests\// && length($0)>110{print f":"NR": "length($0)" columns"}' "$f"
done >/tmp/lint.$$ 2>&1
while read -r l; do fault "$l"; done </tmp/lint.$$; rm -f /tmp/lint.$$

while read -r l; do fault "unfinished: $l"; done < <(
	git ls-files '*.c' '*.h' '*.py' '*.sh' '*.sql' Makefile | grep -v '^tools/lint.sh$' |
		xargs grep -nE '\b(TODO|FIXME|XXX|HACK)\b' 2>/dev/null)
while read -r l; do fault "sleep in a test: $l"; done < <(
	grep -rnE '\b(time\.sleep|usleep|nanosleep|sleep) ?\(' tests/unit tests/e2e --include='*.c' --include='*.py' 2>/dev/null |
		grep -vE 'harness/wait.py|lint: poll')

[ $faults -eq 0 ] && echo "lint: clean" || echo "lint: $faults faults"
[ $faults -eq 0 ]
