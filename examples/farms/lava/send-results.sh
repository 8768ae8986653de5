#!/bin/sh
# Reads a report of `--reporter ktap` from standard input, and gives LAVA the result of each test. LAVA's own patterns know one
# result a line, and would take a skipped test (`ok 3 name # SKIP reason`) for a passed one.
awk '
  # A group follows its tests, and says nothing more.
  $1 == "#" && $2 == "Subtest:" { groups[$3] = 1; next }
  /^ *(not )?ok [0-9]+ / {
    name = $1 == "not" ? $4 : $3
    result = $1 == "not" ? "fail" : / # SKIP/ ? "skip" : "pass"
    if (!(name in groups)) print name, result
  }
' | while read -r name result; do
  lava-test-case "$name" --result "$result"
done
