#!/bin/bash
# Runs each unit test binary named on the command line and ends with one line: "N passed, N failed".
set -u
pass=0 fail=0
for t in "$@"; do
	out=$("$t" 2>&1); rc=$?
	p=$(grep -c '^\[       OK \]' <<<"$out")
	f=$(grep -cE '^\[  FAILED  \] [a-z_0-9A-Z]+$' <<<"$out")
	[ $rc -ne 0 ] && [ "$f" -eq 0 ] && f=1
	# a binary that exits 0 without running a test is a defect, not a pass
	[ $rc -eq 0 ] && [ "$p" -eq 0 ] && f=1
	pass=$((pass + p)); fail=$((fail + f))
	if [ $rc -ne 0 ] || [ "$f" -ne 0 ]; then printf '%s\n' "$out"; echo "FAILED: $t (exit $rc)"; fi
done
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
