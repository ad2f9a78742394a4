"""A pytest plugin: tests that are expected to fail, listed one by one with a reason.

The file named by LICHEN_EXPECTED_FAILURES has lines `NODE-ID  # REASON`; a node ID may be a file's or a class's, and
then stands for all in it. An expected failure that passes fails the run, so that the list stays true; so does a line
that names no test.
"""

import os

import pytest


def read():
    expected = {}
    with open(os.environ["LICHEN_EXPECTED_FAILURES"], encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            node, _, reason = line.strip().partition("  # ")
            if not node or node.startswith("#"):
                continue
            if not reason:
                raise pytest.UsageError(f"line {number} of the expected failures gives no reason: {node}")
            expected[node] = reason
    return expected


def pytest_collection_modifyitems(config, items):
    expected = read()
    used = set()
    for item in items:
        for node, reason in expected.items():
            if item.nodeid == node or item.nodeid.startswith((node + "::", node + "[")):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
                used.add(node)
    unused = set(expected) - used
    if unused and not config.getoption("keyword") and not config.args_source.name == "ARGS":
        raise pytest.UsageError(f"expected failures that name no test: {', '.join(sorted(unused))}")
