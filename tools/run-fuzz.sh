#!/bin/bash
# Runs each fuzz target named after the number of seconds, one after the other, on a copy of its
# corpus (tests/fuzz/corpus/NAME stays as it is; what was found is in build/fuzz/corpus/NAME, inputs
# that crashed are in build/fuzz/crash/). Ends with one line: "N passed, N failed".
set -u
seconds=$1; shift
pass=0 fail=0
mkdir -p build/fuzz/crash
for t in "$@"; do
	name=${t##*/}
	found=build/fuzz/corpus/$name log=build/fuzz/$name.log
	mkdir -p "$found"
	dict=() seeds=()
	[ -f "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
	[ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
	if "$t" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/crash/$name-" \
		-print_final_stats=1 "${dict[@]}" "$found" "${seeds[@]}" >"$log" 2>&1; then
		pass=$((pass + 1))
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
		cov=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
		echo "$name: ${runs:-0} runs, ${cov:-cov: ?}, no crash"
	else
		fail=$((fail + 1))
		tail -n 60 "$log"
		echo "FAILED: $name (log: $log)"
	fi
done
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ] && [ "$pass" -gt 0 ]
