"""Validates a submission with KCIDB's schema 5.3, and sees that the schema refuses it with one thing wrong. Argument: the file."""

import copy
import json
import sys
from collections import Counter
from datetime import datetime

import jsonschema
from kcidb_io.schema import V5_3

# jsonschema checks a time only where another package is installed, which Debian lacks.
CHECKER = jsonschema.Draft7Validator.FORMAT_CHECKER
if "date-time" not in CHECKER.checkers:
    CHECKER.checks("date-time", raises=ValueError)(lambda text: datetime.fromisoformat(text).tzinfo is not None)

# Every verdict that `report kcidb` knows.
VERDICTS = {"PASS", "FAIL", "SKIP", "ERROR", "MISS"}

# What goes wrong, each in the first test of a submission.
BREAKS = {
    "a verdict of no such name": {"status": "BROKEN"},
    "an id of no origin": {"id": "64f1"},
    "a build of no origin": {"build_id": "64f1"},
    "an origin that is no name": {"origin": "Our farm"},
    "a path with a space": {"path": "vfio selftests.a"},
    "a duration as a text": {"duration": "1 s"},
    "a time that is none": {"start_time": "yesterday"},
    "a NUL in the log": {"log_excerpt": "a\0b"},
    "a log that is too long": {"log_excerpt": "a" * 16385},
    "an unknown key": {"verdict": "PASS"},
    "an environment as a text": {"environment": "igb"},
}


def complaint(submission):
    """Why the schema refuses it, or None."""
    try:
        V5_3.validate_exactly(submission)
    except jsonschema.exceptions.ValidationError as error:
        return f"{error.json_path}: {error.message[:200]}"
    return None


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        submission = json.load(file)
    tests = submission["tests"]
    verdicts = Counter(test["status"] for test in tests)
    print(f"{len(tests)} tests: " + ", ".join(f"{count} {name}" for name, count in sorted(verdicts.items())))
    checks = [
        ("the submission is valid", complaint(submission)),
        ("it has each verdict", None if set(verdicts) == VERDICTS else f"it lacks {VERDICTS - set(verdicts)}"),
        ("it is of version 5.3", None if V5_3.is_compatible_exactly(submission) else str(submission["version"])),
    ]
    for name, change in BREAKS.items():
        broken = copy.deepcopy(submission)
        broken["tests"][0].update(change)
        checks.append((f"refused: {name}", None if complaint(broken) else "it is accepted"))
    older = {**submission, "version": {"major": 5, "minor": 4}}
    checks.append(("refused: a version that is not out", None if complaint(older) else "it is accepted"))
    for name, problem in checks:
        print(f"PASS {name}" if problem is None else f"FAIL {name}: {problem}")
    failed = sum(problem is not None for _, problem in checks)
    print(f"{len(checks) - failed} passed, {failed} failed, 0 skipped")
    return 0 if failed == 0 else 1


sys.exit(main())
