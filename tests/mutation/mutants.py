"""The mutants of a module.

They are cosmic-ray's, but of its many ways to replace an operator only the boundary and the negation. In addition,
each call is left out, and each returned value is replaced by None.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    "AddNot", "ExceptionReplacer", "NumberReplacer", "RemoveDecorator", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ReplaceFalseWithTrue", "ReplaceTrueWithFalse",
    "ZeroIterationForLoop", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_Delete_USub",
    *(
        f"Replace{kind}Operator_{change}"
        for kind, changes in (
            ("Binary", "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul BitOr_BitAnd BitAnd_BitOr"),
            ("Comparison", "Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is"),
            ("Comparison", "Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt"),
        )
        for change in changes.split()
    ),
)  # fmt: skip
FALSE = ("None", "False")
STATIC = ("frozen", "strict")
"""Options of dataclasses and of `zip` that guard against what the type checker refuses."""
Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change of a module.

    Args:
        module: the module's path.
        place: line and column of the change.
        operator: operator of cosmic-ray; empty: the statement there is left out, or returns None.
        occurrence: the number of the place among those that the operator changes.
    """

    module: str
    place: Place
    operator: str = ""
    occurrence: int = 0

    def code(self, source: str) -> str:
        """The changed module."""
        if self.operator:
            code: str = mutate_code(source, get_operator(f"core/{self.operator}")(), self.occurrence)
            return code
        return _without(source, next(one for one in _statements(ast.parse(source)) if _start(one) == self.place))

    def name(self, source: str) -> str:
        """Its name in `equivalent.txt`: its module, its function, and the lines that it makes."""
        tree = ast.parse(source)
        named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        around = [node.name for node in named if node.lineno <= self.place[0] <= (node.end_lineno or 0)]
        made, left_out = (
            " ".join(line[1:].strip() for line in self.diff(source) if line.startswith(sign)).strip() for sign in "+-"
        )
        return f"{self.module}: {'.'.join(around)}: {made or f'without {left_out}'}"

    def diff(self, source: str) -> list[str]:
        """The lines that differ."""
        lines = difflib.unified_diff(source.splitlines(), self.code(source).splitlines(), lineterm="", n=0)
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """All mutants, without those of annotations, which are not evaluated when code runs."""
    tree = ast.parse(source)
    idle = _Places(_idle(tree))
    sums = _Places(node for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.AugAssign))
    nodes = list(ast_nodes(get_ast(source)))
    for operator in OPERATORS:
        change = get_operator(f"core/{operator}")()
        places = (start for node in nodes for start, _ in change.mutation_positions(node))
        for occurrence, place in enumerate(places):
            # cosmic-ray takes the * of a signature for a product
            mutant = Mutant(module, place, operator, occurrence)
            if place not in idle and ("Binary" not in operator or place in sums) and _can_be_made(mutant, source):
                yield mutant
    for statement in _statements(tree):
        if _start(statement) not in idle:
            yield Mutant(module, _start(statement))


def read(folder: Path, modules: tuple[str, ...]) -> dict[str, str]:
    """The text of modules."""
    return {module: (folder / module).read_text() for module in modules}


def _can_be_made(mutant: Mutant, source: str) -> bool:
    """Whether cosmic-ray can write a mutant: it cannot replace an exception whose name has a dot."""
    if mutant.operator == "ExceptionReplacer":
        try:
            mutant.code(source)
        except AttributeError:
            return False
    return True


def _statements(tree: ast.Module) -> Iterator[ast.Expr | ast.Return]:
    """Calls whose result is not used, except those that write a log; and returns of values other than None."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if not ast.unparse(node.value).startswith("logger."):
                yield node
        elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) not in FALSE:
            yield node


def _without(source: str, statement: ast.Expr | ast.Return) -> str:
    lines = source.splitlines(keepends=True)
    first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
    instead = "return None" if isinstance(statement, ast.Return) else "pass"
    lines[first:last] = [f"{lines[first][: statement.col_offset]}{instead}  # {lines[first].strip()}\n"]
    return "".join(lines)


class _Places:
    """Whether a place is inside one of some pieces of code."""

    def __init__(self, nodes: Iterable[ast.expr | ast.stmt]) -> None:
        self.ranges = [(_start(node), (node.end_lineno or 0, node.end_col_offset or 0)) for node in nodes]

    def __contains__(self, place: Place) -> bool:
        return any(start <= place < stop for start, stop in self.ranges)


def _idle(tree: ast.Module) -> Iterator[ast.expr | ast.stmt]:
    """Code that only a type checker sees."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in STATIC:
            yield node.value
        yield from filter(None, (getattr(node, "annotation", None), getattr(node, "returns", None)))
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
            yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield node.test


def _start(node: ast.expr | ast.stmt) -> Place:
    return node.lineno, node.col_offset
