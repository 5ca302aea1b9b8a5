"""Ceilings that keep rooms small, and words that must not appear."""

import ast
import statistics
from functools import cache
from pathlib import Path

import pytest

import trueness
from trueness.spec.shape import Shape

PACKAGE = Path(trueness.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE, MEDIAN_FUNCTION = 60, 400, 10


@cache
def _tree(file):
    """A file is parsed once for all rules."""
    return ast.parse(file.read_text())


def _bodies(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            body = node.body[1:] if documented else node.body
            yield node, (node.end_lineno - body[0].lineno + 1 if body else 0)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_rooms_stay_small(file):
    text = file.read_text()
    lines = [
        line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    if "indicators" not in file.parts:
        assert len(lines) <= LONGEST_FILE
    for node, length in _bodies(_tree(file)):
        assert length <= LONGEST_FUNCTION, node.name


def test_functions_are_short_at_the_median():
    lengths = [n for file in FILES for _, n in _bodies(_tree(file))]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION


def _shapes(of):
    for shape in of.__subclasses__():
        yield shape.__name__
        yield from _shapes(shape)


def test_no_class_inherits_from_ours_but_shapes_and_errors():
    ours, allowed = set(), {"Shape", "TruenessError", "Calibrator", "Run", *_shapes(Shape)}
    trees = [_tree(file) for file in FILES]
    for tree in trees:
        ours |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {b.id for b in node.bases if isinstance(b, ast.Name)}
                assert bases & ours <= allowed, node.name


def _caught(handler):
    """Names of the errors that a handler catches; everything if it names none."""
    if handler.type is None:
        return {"BaseException"}
    return {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}


def test_errors_are_caught_broadly_in_two_places_only():
    """A failed item becomes a record, and whatever code of others raises becomes one line."""
    places = [
        file.name
        for file in FILES
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ExceptHandler) and _caught(node) & {"Exception", "BaseException"}
    ]
    assert sorted(places) == ["contract.py", "own.py"]
