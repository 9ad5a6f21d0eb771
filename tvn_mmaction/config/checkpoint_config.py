"""The config that a checkpoint keeps."""

import ast
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..utils.errors import UserError


def read_static_config(text: str, file: Path) -> Config:
    """Read the config that a checkpoint keeps as Python text, without running it.

    MMEngine writes assignments of literals and of calls of `dict`, and nothing else is read.

    Raises:
        UserError: It is more than that.
    """
    try:
        tree = ast.parse(text)
        return Config({statement.targets[0].id: _literal(statement.value) for statement in tree.body})
    except (SyntaxError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise UserError(
            f'{file} keeps a config that is not plain data ({error}): name the config that it was trained with'
        ) from None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            raise ValueError(f'line {node.lineno} calls {ast.unparse(node.func)}')
        named = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
        return dict(*map(_literal, node.args), **named)
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(value) for value in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)
    return ast.literal_eval(node)
