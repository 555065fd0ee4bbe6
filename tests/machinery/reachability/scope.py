"""The references of a definition, and the meaning of its names."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from tests.machinery.reachability.terms import Definition, Reference, imported

if TYPE_CHECKING:
    from tests.machinery.reachability.facts import Reader
    from tests.machinery.reachability.terms import Term

_ENTRY = re.compile(r"(?:keel|app)(?:\.\w+)+[:.]\w+")


class Scope(ast.NodeVisitor):
    """Collects the references of a definition."""

    def __init__(self, reader: Reader, found: Definition, owner: str) -> None:
        """Take the definition to fill, and the class that it belongs to."""
        self.reader = reader
        self.found = found
        self.owner = owner
        self.locals: dict[str, list[Term]] = {}
        self.slots: dict[str, list[Term]] = {}
        self.guards: tuple[tuple[Any, ...], ...] = ()

    # --- Terms

    def term(self, node: ast.expr) -> Term:  # noqa: C901, PLR0911, PLR0912 - one for each form
        """Return the term of an expression."""
        match node:
            case ast.Name(id=name):
                if name in self.locals:
                    return ("union", tuple(self.locals[name]))
                return self.reader.global_name(name)
            case ast.Attribute(value=value, attr=attr):
                return ("attr", self.term(value), attr)
            case ast.Call(func=ast.Name(id="super")):
                return ("super", self.owner)
            case ast.Call(func=ast.Name(id="cast"), args=[kind, _]):
                return ("inst", self.annotation(kind))
            case ast.Call(func=func, args=args, keywords=keywords):
                given = tuple(self.term(each) for each in (*args, *(keyword.value for keyword in keywords)))
                return ("call", self.term(func), given)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.term(value)
            case ast.Subscript(value=value):
                return ("item", self.term(value))
            case ast.BoolOp(values=values):
                return ("union", tuple(self.term(value) for value in values))
            case ast.IfExp(body=body, orelse=orelse):
                return ("union", (self.term(body), self.term(orelse)))
            case ast.Constant() | ast.JoinedStr() | ast.Compare() | ast.Dict():
                return ("ext",)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements) if elements:
                single = tuple(self.term(each) for each in elements if not isinstance(each, ast.Starred))
                several = [self.term(each.value) for each in elements if isinstance(each, ast.Starred)]
                return ("union", (("tuple", single), *several)) if several else ("tuple", single)
            case ast.ListComp(elt=element) | ast.GeneratorExp(elt=element) | ast.SetComp(elt=element):
                return ("tuple", (self.term(element),))
        return None

    def annotation(self, node: ast.expr) -> Term:  # noqa: PLR0911 - one for each form
        """Return the term of an annotation."""
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self.annotation(ast.parse(text, mode="eval").body)
                except SyntaxError:
                    return None
            case ast.Name() | ast.Attribute():
                return self._dotted(node)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return ("gen", ("name", "typing.Union"), (self.annotation(left), self.annotation(right)))
            case ast.Subscript(value=value, slice=ast.Tuple(elts=elements)):
                return ("gen", self.annotation(value), tuple(self.annotation(each) for each in elements))
            case ast.Subscript(value=value, slice=element):
                return ("gen", self.annotation(value), (self.annotation(element),))
        return None

    def _dotted(self, node: ast.expr) -> Term:
        if isinstance(node, ast.Attribute):
            inner = self._dotted(node.value)
            return ("name", f"{inner[1]}.{node.attr}") if inner else None
        return self.reader.global_name(node.id) if isinstance(node, ast.Name) else None

    # --- Bindings

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function with its decorators, annotations, defaults and body."""
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._parameters(node.args, method=bool(self.owner))
        if node.returns:
            self._annotation_references(node.returns)
        self._bind_all(node.body)
        for part in node.body:
            self.visit(part)

    def _parameters(self, arguments: ast.arguments, *, method: bool) -> None:
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for position, argument in enumerate(every):
            if method and position == 0 and argument.arg in {"self", "cls"}:
                self.locals[argument.arg] = [("self" if argument.arg == "self" else "cls", self.owner)]
                continue
            known = argument.annotation
            self.locals[argument.arg] = [("inst", self.annotation(known)) if known else None]
            if known:
                self._annotation_references(known)
        for rest in filter(None, (arguments.vararg, arguments.kwarg)):
            kind = ("inst", self.annotation(rest.annotation)) if rest.annotation else None
            self.locals[rest.arg] = [("tuple", (kind,)) if rest is arguments.vararg else None]
            if rest.annotation:
                self._annotation_references(rest.annotation)
        for default in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
            self.visit(default)

    def _annotation_references(self, node: ast.expr) -> None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return
        self.visit(node)

    def _bind_all(self, body: list[ast.stmt]) -> None:  # noqa: C901, PLR0912 - one for each form
        """Bind every local name first: a closure may use names assigned below it."""
        for node in [each for part in body for each in ast.walk(part)]:
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._bind(target, lambda value=value: self.term(value))
                case ast.AnnAssign(target=target, annotation=annotation):
                    self._bind(target, lambda annotation=annotation: ("inst", self.annotation(annotation)))
                case ast.NamedExpr(target=target, value=value):
                    self._bind(target, lambda value=value: self.term(value))
                case ast.For() | ast.AsyncFor() | ast.comprehension():
                    self._bind(node.target, lambda node=node: ("elem", self.term(node.iter)))
                case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                    self._bind(target, lambda value=value: ("enter", self.term(value)))
                case ast.ExceptHandler(name=str(name), type=ast.expr() as kind):
                    self.locals.setdefault(name, []).append(self._caught(kind))
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    returns = self.annotation(node.returns) if node.returns else None
                    self.locals.setdefault(node.name, []).append(("function", returns))
                    self._parameters(node.args, method=False)
                case ast.Lambda(args=arguments):
                    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                        self.locals.setdefault(argument.arg, [None])
                case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    self.locals.setdefault(name, []).append(None)
                case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), kind]):
                    self.locals.setdefault(name, []).append(self._caught(kind))

    def _caught(self, kind: ast.expr) -> Term:
        kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return ("union", tuple(("inst", self.annotation(each)) for each in kinds))

    def _bind(self, target: ast.expr, value: Any) -> None:  # noqa: ANN401 - makes a term
        match target:
            case ast.Name(id=name):
                self.locals.setdefault(name, [])
                self.locals[name].append(_depth_limited(value()))
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for position, element in enumerate(elements):
                    self._bind(element, lambda position=position: ("unpack", value(), position))
            case ast.Starred(value=inner):
                self._bind(inner, lambda: None)
            case ast.Attribute(value=ast.Name(id="self"), attr=attr):
                self.slots.setdefault(attr, []).append(value())

    # --- References

    def _add(self, term: tuple[Any, ...]) -> None:
        self.found.references.append(Reference(term, self.guards))

    def visit_Name(self, node: ast.Name) -> None:
        """Refer to the object of a global name."""
        if isinstance(node.ctx, ast.Load) and node.id not in self.locals:
            self._add(self.reader.global_name(node.id))

    def visit_Constant(self, node: ast.Constant) -> None:
        """Refer to the object of a string such as `package.module:name` or a dotted name, which libraries load."""
        if isinstance(node.value, str) and _ENTRY.fullmatch(node.value):
            self._add(("name", node.value.replace(":", ".")))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Refer to an attribute. The object only counts if the attribute is reached."""
        value = self.term(node.value)
        before = self.guards
        if isinstance(node.ctx, ast.Load):
            self._add(("attr", value, node.attr))
            if isinstance(node.value, ast.Attribute):
                self.guards = (*before, ("attr", value, node.attr))
        self.visit(node.value)
        self.guards = before

    def visit_Expr(self, node: ast.Expr) -> None:
        """Arguments in a statement that calls a method only count if the method is reached."""
        guard = self._guard(node)
        before = self.guards
        if guard and isinstance(node.value, ast.Call):
            self.visit(node.value.func)
            self.guards = (*before, guard)
            for part in (*node.value.args, *node.value.keywords):
                self.visit(part)
            self.guards = before
        else:
            self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """Values iterated only to be passed to a method only count if the method is reached."""
        before = self.guards
        body: list[ast.stmt] = [node]
        while len(body) == 1 and isinstance(body[0], ast.For):
            body = body[0].body
        guards = [self._guard(part) for part in body]
        if None not in guards:
            self.guards = (*before, *(guard for guard in guards if guard))
        self.visit(node.iter)
        self.guards = before
        for part in node.body:
            self.visit(part)

    def visit_Call(self, node: ast.Call) -> None:
        """Treat `getattr(thing, "name")` as an attribute."""
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[thing, ast.Constant(value=str(name)), *_]):
                self._add(("attr", self.term(thing), name))
            case ast.Call(func=ast.Name(id="asdict" | "astuple" | "vars"), args=[thing]):
                self._add(("fields", self.term(thing)))
        self.generic_visit(node)

    def _guard(self, node: ast.stmt) -> tuple[Any, ...] | None:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute):
                return ("attr", self.term(function.value), function.attr)
        return None

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """A function within a function belongs to it."""
        for decorator in node.decorator_list:
            self.visit(decorator)
        for part in node.body:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def _visit_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for target in imported(node):
            self._add(("import", target))

    visit_Import = _visit_import  # noqa: N815 - ast's name
    visit_ImportFrom = _visit_import  # noqa: N815 - ast's name


def _depth_limited(term: Term, limit: int = 40) -> Term:
    """Limit the depth of a term: a name repeatedly assigned from itself would grow without bound."""
    return None if _depth(term, limit) >= limit else term


def _depth(term: Any, limit: int) -> int:  # noqa: ANN401 - parts of terms
    if limit <= 0 or not isinstance(term, tuple):
        return 0
    return 1 + max((_depth(part, limit - 1) for part in term), default=0)
