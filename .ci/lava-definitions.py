"""Validates the LAVA definitions under version control with LAVA's own schemas, and sees that each schema refuses a broken one."""

import copy
import subprocess
import sys
from pathlib import Path

import yaml
from lava_common import schemas
from lava_common.schemas.test.testdef import testdef
from voluptuous import Invalid, Schema

# Each of its YAML files must be one or the other.
EXAMPLES = "examples/farms/lava/"


def is_job(document):
    return isinstance(document, dict) and "actions" in document and ("job_name" in document or "device_type" in document)


def is_test(document):
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return isinstance(metadata, dict) and str(metadata.get("format", "")).startswith("Lava-Test")


def validate_job(job):
    """Strictly: LAVA itself lets a key pass that nobody reads."""
    schemas.validate(job)
    for index, action in enumerate(job["actions"]):
        for definition in action.get("test", {}).get("definitions", []):
            where = [f"actions[{index}]", "test", "definitions"]
            test = yaml.safe_load(Path(definition["path"]).read_text())
            validate_test(test)
            for name in definition.get("parameters", {}):
                if name not in test.get("params", {}):
                    raise Invalid(f"{definition['path']} has no parameter {name}", path=where)


def validate_test(test):
    Schema(testdef())(test)


# What goes wrong when a person writes one, by kind: each takes a valid definition and breaks it.
def unknown_key(definition):
    definition["metadata" if "metadata" in definition else "timeouts"]["unknown"] = "key"


def run_as_a_text(test):
    test["run"]["steps"] = "vfio-selftests run"


def no_metadata(test):
    del test["metadata"]


def no_timeouts(job):
    del job["timeouts"]


def action_longer_than_the_job(job):
    next(iter(job["actions"][0].values()))["timeout"] = {"days": 9}


def unknown_place_of_kernels(job):
    job["actions"][0]["deploy"]["to"] = "paper"


def unknown_parameter(job):
    job["actions"][-1]["test"]["definitions"][0]["parameters"]["DEVICES"] = "all"


KINDS = {
    "job": (
        is_job,
        validate_job,
        [unknown_key, no_timeouts, action_longer_than_the_job, unknown_place_of_kernels, unknown_parameter],
    ),
    "test": (is_test, validate_test, [unknown_key, no_metadata, run_as_a_text]),
}


def complaint(validate, definition):
    """Why the schema refuses it, or None."""
    try:
        validate(definition)
    except (Invalid, OSError, yaml.YAMLError) as error:
        return str(error)
    return None


def main():
    passed = failed = 0

    def count(problem, name):
        nonlocal passed, failed
        passed, failed = (passed + 1, failed) if problem is None else (passed, failed + 1)
        print(f"PASS {name}" if problem is None else f"FAIL {name}: {problem}")

    files = subprocess.run(["git", "ls-files", "*.yaml", "*.yml"], check=True, capture_output=True, text=True)
    found = set()
    for path in files.stdout.split():
        for document in yaml.safe_load_all(Path(path).read_text()):
            kind = next((kind for kind, (matches, _, _) in KINDS.items() if matches(document)), None)
            if kind is None:
                if path.startswith(EXAMPLES):
                    count("neither a job nor a test", path)
                continue
            _, validate, breaks = KINDS[kind]
            problem = complaint(validate, document)
            count(problem, f"{path} is a {kind} definition")
            tried = kind in found
            found.add(kind)
            # To break a second definition, or what is broken anyhow, shows nothing more.
            for damage in [] if tried or problem is not None else breaks:
                broken = copy.deepcopy(document)
                damage(broken)
                refused = complaint(validate, broken)
                count(None if refused else "it is accepted", f"a {kind} definition is refused: {damage.__name__.replace('_', ' ')}")
    for kind in KINDS.keys() - found:
        count("none was found", f"a {kind} definition")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 0 if failed == 0 else 1


sys.exit(main())
