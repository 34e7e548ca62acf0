#!/bin/bash
# Runs each unit test binary named on the command line, UNIT_JOBS (2) at a time, and ends with one
# line: "N passed, N failed[, N skipped]". A test that skips itself says "skipped: why" before.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export dir

printf '%s\n' "$@" | xargs -P "${UNIT_JOBS:-2}" -I{} bash -c \
	'n=$(basename {}); {} >"$dir/$n.out" 2>&1; echo $? >"$dir/$n.rc"'

pass=0 fail=0 skip=0
for t in "$@"; do
	n=$(basename "$t")
	rc=$(cat "$dir/$n.rc" 2>/dev/null || echo 127)
	p=$(grep -ac '^\[       OK \]' "$dir/$n.out")
	# cmocka names a failed test where it fails and again at the end
	f=$(grep -aoE '^\[  FAILED  \] [a-z_0-9A-Z]+$' "$dir/$n.out" | sort -u | wc -l)
	[ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	# a binary that exits 0 without running a test is a defect, not a pass
	[ "$rc" -eq 0 ] && [ "$p" -eq 0 ] && f=1
	s=$(grep -aoE '^\[  SKIPPED \] [a-z_0-9A-Z]+$' "$dir/$n.out" | sort -u | wc -l)
	pass=$((pass + p)); fail=$((fail + f)); skip=$((skip + s))
	if [ "$f" -ne 0 ]; then cat "$dir/$n.out"; echo "FAILED: $t (exit $rc)"; fi
	[ "$s" -ne 0 ] && grep -a '^skipped: ' "$dir/$n.out" | sed "s/^/$n: /"
done
sum="$pass passed, $fail failed"
[ "$skip" -gt 0 ] && sum+=", $skip skipped"
echo "$sum"
[ "$fail" -eq 0 ]
