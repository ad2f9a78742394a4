"""Compares the output of Rust's test harness with the tests that are expected to fail, listed one by one with a reason.

    judge.py EXPECTED OUTPUT [TEST-BINARY...]

An expected failure that passes is a failure too, so that the list stays true; so is a line that names no test, when all
tests were run.
"""

import re
import sys


def main():
    expected = {}
    with open(sys.argv[1], encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            test, _, reason = line.strip().partition("  # ")
            if test and not test.startswith("#"):
                if not reason:
                    sys.exit(f"line {number} of the expected failures gives no reason: {test}")
                expected[test] = reason
    with open(sys.argv[2], encoding="utf-8", errors="replace") as output:
        # A test may print between its name and its outcome.
        found = re.findall(r"^test (\S+) \.\.\. (?:(?!^test ).)*?\b(ok|FAILED|ignored)$", output.read(), re.M | re.S)
    outcomes = dict(found)
    failed = {test for test, outcome in outcomes.items() if outcome == "FAILED"}
    wrong = [f"failed: {test}" for test in sorted(failed - expected.keys())]
    wrong += [f"passed, though expected to fail: {test}" for test in expected if outcomes.get(test) == "ok"]
    if len(sys.argv) == 3:
        wrong += [f"expected to fail, but there is no such test: {test}" for test in sorted(expected.keys() - outcomes.keys())]
    passed = sum(outcome == "ok" for outcome in outcomes.values())
    print("\n".join(wrong))
    print(f"bollard: {passed} passed, {len(failed)} failed, {len(failed & expected.keys())} of them expected")
    if wrong or not passed:
        sys.exit(1)


if __name__ == "__main__":
    main()
