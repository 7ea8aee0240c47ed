"""Which mutations are made: those of Cosmic Ray that are not the same one again, and one of our own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Any

from cosmic_ray.operators.operator import Argument, Example, Operator
from cosmic_ray.plugins import OPERATOR_PROVIDERS, operator_names
from parso.python.tree import Keyword

_CHOSEN = re.compile(
    r"layerstore/.*|core/(AddNot|Replace(True|False|And|Or|Break|Continue)With.*|ExceptionReplacer|NumberReplacer"
    r"|RemoveDecorator|ZeroIterationForLoop|ReplaceUnaryOperator_(USub_UAdd|Delete_Not|Delete_USub|Delete_Invert)"
    r"|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt|Is_IsNot"
    r"|IsNot_Is)|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_FloorDiv|FloorDiv_Mul|Mod_FloorDiv|BitOr_BitAnd"
    r"|BitAnd_BitOr|LShift_RShift|RShift_LShift))"
)
"""Each operator becomes one other, or two where both are likely mistakes. Cosmic Ray would try all others."""


def chosen_operators() -> list[str]:
    """Return the names of the operators that are used."""
    OPERATOR_PROVIDERS["layerstore"] = {"RemoveStatement": RemoveStatement}
    return [name for name in operator_names() if _CHOSEN.fullmatch(name)]


class RemoveStatement(Operator):  # type: ignore[misc]  # Cosmic Ray has no types
    """Leaves out a call, a raise, or an assignment to an attribute or an item."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:  # noqa: ANN401  (parso's)
        """Yield the statement's position, if the node is one."""
        if node.type == "simple_stmt" and _is_removable(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:  # noqa: ANN401  (parso's)
        """Put ``pass`` in its place."""
        del index
        first = node.get_first_leaf()
        node.children[0] = Keyword("pass", first.start_pos, prefix=first.prefix)
        node.children[0].parent = node
        return node

    @classmethod
    def arguments(cls) -> Sequence[Argument]:
        """Return none."""
        return ()

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Return one."""
        return (Example("forget(1)", "pass"),)


def _is_removable(statement: Any) -> bool:  # noqa: ANN401  (parso's)
    code = statement.get_code(include_prefix=False)
    parsed = ast.parse("async def _():\n while 1:\n  " + code.replace("\n", "\n   ")).body[0].body[0].body[0]
    if isinstance(parsed, ast.Expr):
        return isinstance(parsed.value, ast.Call)
    if isinstance(parsed, ast.Assign):
        return not all(isinstance(target, ast.Name) for target in parsed.targets)
    return isinstance(parsed, ast.Raise | ast.AugAssign | ast.Delete)


def meaning(source: str) -> str:
    """Return what a source does, as text: two mutants with one meaning are one. Empty if it is no Python."""
    try:
        return ast.dump(_Meaning().visit(ast.parse(source)))
    except SyntaxError:
        return ""


_OPPOSITE = {ast.Eq: ast.NotEq, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Is: ast.IsNot, ast.In: ast.NotIn}
_OPPOSITE |= {there: here for here, there in _OPPOSITE.items()}


class _Meaning(ast.NodeTransformer):
    """Removes what nobody evaluates, annotations and what is for type checkers alone, and writes one thing one way."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        of = node.operand
        if isinstance(node.op, ast.UAdd):
            return of
        if not isinstance(node.op, ast.Not):
            return node
        if isinstance(of, ast.UnaryOp) and isinstance(of.op, ast.Not):
            return of.operand
        if isinstance(of, ast.Compare) and len(of.ops) == 1 and type(of.ops[0]) in _OPPOSITE:
            of.ops = [_OPPOSITE[type(of.ops[0])]()]
            return of
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return None
        return self.generic_visit(node)
