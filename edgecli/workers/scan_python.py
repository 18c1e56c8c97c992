"""The source of a Python Worker, read with `ast`."""

from __future__ import annotations

import ast
from pathlib import Path

from edgecli.workers.scan import MODEL_ID, Scan, Use

_HOLDERS = {"self", "ctx"}
"""`self.env`."""


def read(found: Scan, path: Path, text: str, base: Path, root: Path) -> list[Path]:
    """Add what a module says to `found`; return the Worker's own modules that it imports."""
    try:
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = (error.lineno if isinstance(error, SyntaxError) else None) or 1
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        found.faults.append(Use(path.name, path, line, f"syntax error: {message}"))
        return []
    if not found.modules[1:]:
        found.names = _top_names(tree)
    visitor = _Visitor(found, path, base, root, _env_names(tree))
    visitor.visit(tree)
    return visitor.own


def _top_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                pass
    return names


def _env_names(tree: ast.Module) -> set[str]:
    """Return the names under which the module has its `env`: a parameter, an import, `env = self.env`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg == "env":
            names.add("env")
        elif isinstance(node, ast.ImportFrom) and node.module == "workers":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "env"}
        elif isinstance(node, ast.Assign) and _is_env(node.value, set()):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _is_env(node: ast.expr, names: set[str]) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=holder), attr="env"):
            return holder in _HOLDERS
        case ast.Subscript(value=ast.Attribute(attr="scope"), slice=ast.Constant(value="env")):
            return True  # of an ASGI app
        case ast.Name(id=name):
            return name in names
        case _:
            return False


class _Visitor(ast.NodeVisitor):
    def __init__(self, found: Scan, path: Path, base: Path, root: Path, names: set[str]) -> None:
        self.found = found
        self.path = path
        self.base = base
        self.root = root
        self.names = names
        self.own: list[Path] = []
        self.optional = False

    def _use(self, name: str, node: ast.AST, detail: str = "", *, optional: bool = False) -> Use:
        return Use(name, self.path, getattr(node, "lineno", 1), detail, optional or self.optional)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        inner = node.value
        if isinstance(inner, ast.Attribute) and _is_env(inner.value, self.names):
            self.found.env.append(self._use(inner.attr, inner, node.attr))
            self.visit(inner.value)
        elif _is_env(inner, self.names):
            if isinstance(node.ctx, ast.Load) and not node.attr.startswith("__"):
                self.found.env.append(self._use(node.attr, node))
        else:
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_env(node.value, self.names) and isinstance(node.slice, ast.Constant):
            self.found.env.append(self._use(str(node.slice.value), node))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" as function), args=[held, ast.Constant(value=str(name)), *rest]
            ) if _is_env(held, self.names):
                self.found.env.append(self._use(name, node, optional=bool(rest) or function == "hasattr"))
            case _:
                pass
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and MODEL_ID.fullmatch(node.value):
            self.found.models.append(self._use(node.value, node))

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
        if name == "TYPE_CHECKING":
            for each in node.orelse:
                self.visit(each)
        else:
            self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        before = self.optional
        caught = {
            name.id for each in node.handlers for name in ast.walk(each.type or each) if isinstance(name, ast.Name)
        }
        bare = any(each.type is None for each in node.handlers)
        imports = bare or bool({"ImportError", "ModuleNotFoundError", "Exception"} & caught)
        for each in node.body:
            self.optional = before or (imports and isinstance(each, ast.Import | ast.ImportFrom))
            self.visit(each)
        self.optional = before
        for each in [*node.handlers, *node.orelse, *node.finalbody]:
            self.visit(each)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias.name.split("."), node, self.base)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        parts = node.module.split(".") if node.module else []
        if node.level == 0:
            self._import(parts, node, self.base)
            folder = self.base
        else:
            folder = self.path.parent
            for _ in range(node.level - 1):
                folder = folder.parent
            if parts and not self._take(folder, parts):
                name = "." * node.level + ".".join(parts)
                self.found.faults.append(self._use(name, node, f"there is no module `{name}` beside it"))
        for alias in node.names:  # a name may be a module
            self._take(folder, [*parts, alias.name])

    def _import(self, parts: list[str], node: ast.stmt, folder: Path) -> None:
        if not self._take(folder, parts) and not self._is_vendored(parts[0]):
            self.found.imports.append(self._use(parts[0], node))

    def _is_vendored(self, name: str) -> bool:
        folder = self.root / "python_modules"
        return (folder / name).is_dir() or (folder / f"{name}.py").is_file()

    def _take(self, folder: Path, parts: list[str]) -> bool:
        """Note the Worker's own modules on the way to `parts`; tell whether its first part is one."""
        known = False
        place = folder
        for part in parts:
            module, place = place / f"{part}.py", place / part
            package = place / "__init__.py"
            is_own = module.is_file() or package.is_file() or any(place.glob("*.py"))
            self.own += [path for path in (module, package) if path.is_file()]
            known = known or is_own
            if not is_own:
                break
        return known
