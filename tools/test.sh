#!/bin/bash
# Runs every check and test there is: lint, unit tests, end-to-end tests. Prints the counts of each
# part and as the last line the sum: "N passed, N failed[, N skipped]". Everything must be built
# before (`make test` does). Fails when a test failed or when nothing ran.
#
# V=asan (or another variant) tests what that variant built; JOBS=N sets how many end-to-end tests
# run at a time; arguments go to pytest.
set -u
cd "$(dirname "$0")/.."
V=${V:-release}
passed=0 failed=0 skipped=0

# part NAME PASSED FAILED SKIPPED
part() {
	printf '%-6s %d passed, %d failed, %d skipped\n' "$1:" "$2" "$3" "$4"
	passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + $4))
}

# count WORDS < OUTPUT: the number before any of the words in pytest's closing line
count() {
	tail -n 1 | grep -oE "[0-9]+ ($1)" | awk '{n += $1} END {print n + 0}'
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

if [ -x tools/lint.sh ]; then
	if tools/lint.sh; then part lint 1 0 0; else part lint 0 1 0; fi
fi

shopt -s nullglob
units=(build/"$V"/unit/test_* build/"$V"/replay/fuzz_*)
for i in "${!units[@]}"; do
	# a binary whose source is gone is left over from another commit
	n=${units[i]##*/}
	[ -f "tests/unit/$n.c" ] || [ -f "tests/fuzz/$n.c" ] || unset "units[i]"
done
if [ ${#units[@]} -gt 0 ]; then
	tools/run-unit.sh "${units[@]}" | tee "$log"
	p=$(count passed <"$log") f=$(count failed <"$log") s=$(count skipped <"$log")
	part unit "$p" "$f" "$s"
fi

bin=bin
[ "$V" = release ] || bin=build/$V/bin
GW_BIN=${GW_BIN:-$bin} GW_VARIANT=$V /usr/bin/python3 -m pytest -n "${JOBS:-3}" -q tests/e2e "$@" | tee "$log"
rc=${PIPESTATUS[0]}
p=$(count passed <"$log") f=$(count 'failed|errors?' <"$log") s=$(count skipped <"$log")
[ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
part e2e "$p" "$f" "$s"

sum="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && sum+=", $skipped skipped"
echo "$sum"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
