"""Hashes what source files mean, so that the same change in other words is seen to be the same.

Reads one JSON object on stdin and writes one on stdout, results in the order of the files:

    in   {"files": [{"path": "train.py", "text": "..."}]}
    out  {"meanings": [{"hash": "..."} | {"error": "line 12: invalid syntax: def f(:"}]}

Of Python, these make no difference: comments, docstrings and layout; names of local variables and of parameters that no
call names; how a literal is spelled (1e-2, 0.01), arithmetic on literals (2**16, 65536); the order of keyword arguments
that are plain values; the order of neighbouring imports; annotations that nothing reads; `pass` and lone constants.
What may show in a run makes a difference: names of modules, globals, attributes and classes, all statements and their
order. Two files of one hash do the same; two that do the same may well have two hashes.

Of other files, blank space at the ends of lines and of the file makes no difference. A change to these rules is a new
SCHEME in meaning.ts.
"""

import ast
import hashlib
import json
import operator
import sys
import warnings

RECURSION = 6000  # frames; what is nested deeper is hashed as text
FOLDED_BITS = 512  # integers of more are left as they were written
REFLECTION = {"eval", "exec", "locals", "vars", "globals", "inspect"}  # what may read names of locals
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Frame:
    """The names of a function, lambda, comprehension or class body, and what each is called in the hash."""

    def __init__(self, outer, bound, fixed=(), foreign=(), is_class=False):
        while outer is not None and outer.is_class and not is_class:
            outer = outer.outer  # a method does not see the names of its class
        self.outer = outer
        self.depth = 1 if outer is None else outer.depth + 1
        self.bound = bound
        self.foreign = foreign  # declared global: the module's, whatever lies between
        self.names = {name: name for name in fixed}
        self.is_class = is_class

    def find(self, name):
        frame = self
        while frame is not None and name not in frame.foreign:
            if name in frame.bound:
                return frame.names.setdefault(name, (frame.depth, len(frame.names)))
            frame = frame.outer
        return name


class Writer:
    """Writes a tree into a hash. Empty fields are left out: later versions of Python have more of them."""

    def __init__(self, tree):
        nodes = list(ast.walk(tree))
        self.digest = hashlib.sha256()
        self.keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
        self.renames = not any(isinstance(node, ast.Name) and node.id in REFLECTION for node in nodes)
        self.block(tree.body, None)

    def put(self, *parts):
        self.digest.update(repr(parts).encode("utf-8", "surrogatepass"))

    def name(self, name, frame):
        self.put(name if frame is None or name is None else frame.find(name))

    def write(self, value, frame):
        if isinstance(value, list):
            self.put("list", len(value))
            for each in value:
                self.write(each, frame)
        elif isinstance(value, ast.AST):
            self.put(type(value).__name__)
            getattr(self, f"write_{type(value).__name__}", self.fields)(value, frame)
        else:
            self.put(type(value).__name__, value)

    def fields(self, node, frame, *done):
        for field, value in ast.iter_fields(node):
            if field in done or value is None or value == [] or isinstance(value, ast.expr_context):
                continue
            self.put(field)
            if isinstance(value, list) and isinstance(value[0], ast.stmt):
                self.block(value, frame)
            else:
                self.write(value, frame)

    def block(self, statements, frame):
        self.write(tidied(statements, frame is not None and frame.is_class), frame)

    def write_Constant(self, node, _frame):
        self.put(type(node.value).__name__, repr(node.value))

    def write_Name(self, node, frame):
        self.name(node.id, frame)

    def write_alias(self, node, frame):
        self.put(node.name, node.asname is None)
        self.name(bound_by(node), frame)

    def write_ExceptHandler(self, node, frame):
        self.name(node.name, frame)
        self.fields(node, frame, "name")

    write_MatchAs = write_MatchStar = write_ExceptHandler

    def write_MatchMapping(self, node, frame):
        self.name(node.rest, frame)
        self.fields(node, frame, "rest")

    def write_Global(self, node, _frame):
        self.put(sorted(node.names))

    def write_Nonlocal(self, node, frame):
        self.put(sorted(repr(frame.find(name)) for name in node.names))

    def write_Call(self, node, frame):
        keywords = node.keywords
        if all(word.arg is not None and is_plain(word.value) for word in keywords):
            keywords = sorted(keywords, key=lambda word: word.arg)
        self.fields(node, frame, "keywords")
        self.write(keywords, frame)

    def write_ClassDef(self, node, frame):
        self.name(node.name, frame)
        self.fields(node, frame, "name", "body")
        own, foreign = bindings(node.body)
        self.block(node.body, Frame(frame, own, own, foreign, is_class=True))

    def write_FunctionDef(self, node, frame):
        self.name(node.name, frame)
        self.write(node.decorator_list, frame)
        # Decorators may read annotations: Triton's do.
        annotated = bool(node.decorator_list)
        if annotated:
            self.write(node.returns, frame)
        self.block(node.body, self.parameters(node.args, *bindings(node.body), frame, annotated))

    write_AsyncFunctionDef = write_FunctionDef

    def write_Lambda(self, node, frame):
        self.write(node.body, self.parameters(node.args, *bindings([node.body]), frame, False))

    def parameters(self, args, bound, foreign, frame, annotated):
        """The frame of a function. Defaults and annotations belong to the one outside."""
        listed = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        listed += [arg for arg in (args.vararg, args.kwarg) if arg is not None]
        names = {arg.arg for arg in listed}
        fixed = names & self.keywords if self.renames else names | bound
        inner = Frame(frame, names | bound, fixed, foreign)
        self.put(len(args.posonlyargs), len(args.args), len(args.kwonlyargs), args.vararg is None, args.kwarg is None)
        self.write(args.defaults, frame)
        self.write(args.kw_defaults, frame)
        for arg in listed:
            self.put(inner.find(arg.arg))
            if annotated:
                self.write(arg.annotation, frame)
        return inner

    def comprehension(self, node, frame):
        targets = {each.id for part in node.generators for each in ast.walk(part.target) if isinstance(each, ast.Name)}
        inner = Frame(frame, targets, () if self.renames else targets)
        for index, part in enumerate(node.generators):
            self.put("for", part.is_async)
            self.write(part.iter, inner if index > 0 else frame)
            self.write(part.target, inner)
            self.write(part.ifs, inner)
        self.fields(node, inner, "generators")

    write_ListComp = write_SetComp = write_DictComp = write_GeneratorExp = comprehension


def bindings(body):
    """The names that a block binds itself, and those that it declares to be the module's."""
    bound, foreign, outer = set(), set(), set()
    todo = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            bound.add(node.name)
            todo += node.decorator_list
            todo += [*node.bases, *node.keywords] if isinstance(node, ast.ClassDef) else defaults(node.args)
            continue
        if isinstance(node, ast.Lambda):
            todo += defaults(node.args)
            continue
        if isinstance(node, COMPREHENSIONS):
            # Its targets are its own; what an assignment expression in it binds is not.
            bound |= {each.target.id for each in ast.walk(node) if isinstance(each, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Global):
            foreign.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            outer.update(node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, ast.alias):
            bound.add(bound_by(node))
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping):
            bound.add(node.rest)
        todo += ast.iter_child_nodes(node)
    return bound - foreign - outer - {None}, foreign


def defaults(args):
    return [each for each in [*args.defaults, *args.kw_defaults] if each is not None]


def bound_by(alias):
    return alias.asname or alias.name.split(".")[0]


def is_plain(value):
    """Whether it does nothing when it is evaluated, so that it may be evaluated sooner or later."""
    plain = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.UnaryOp, ast.BinOp, ast.Compare)
    inside = (*plain, ast.operator, ast.unaryop, ast.cmpop, ast.expr_context)
    return all(isinstance(node, inside) for node in ast.walk(value))


def tidied(statements, in_class):
    """A block without what does nothing, its neighbouring imports in order."""
    kept = []
    for node in statements:
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            continue
        if isinstance(node, ast.AnnAssign) and not in_class:  # in a class it may be a field
            if node.value is not None:
                kept.append(ast.Assign(targets=[node.target], value=node.value))
            continue
        kept.append(node)
    tidy, at = [], 0
    while at < len(kept):
        end = at
        while end < len(kept) and is_import(kept[end]):
            end += 1
        tidy += in_order(kept[at:end]) if end > at else [kept[at]]
        at = max(end, at + 1)
    return tidy


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom)) and getattr(node, "module", "") != "__future__"


def in_order(imports):
    """One name each, sorted; as they are where the order decides what a name is."""
    single = []
    for node in imports:
        for alias in node.names:
            if isinstance(node, ast.Import):
                single.append(ast.Import(names=[alias]))
            else:
                single.append(ast.ImportFrom(module=node.module, names=[alias], level=node.level))
    bound = [bound_by(node.names[0]) for node in single]
    if "*" in bound or len(set(bound)) < len(bound):
        return single
    return sorted(single, key=lambda node: (getattr(node, "module", "") or "", ast.dump(node)))


class Fold(ast.NodeTransformer):
    """Arithmetic on numbers, as Python itself does it when it compiles."""

    def visit_BinOp(self, node):
        self.generic_visit(node)
        compute = ARITHMETIC.get(type(node.op))
        if compute is None or not (is_number(node.left) and is_number(node.right)):
            return node
        left, right = node.left.value, node.right.value
        if compute in (operator.pow, operator.lshift) and abs(right) > FOLDED_BITS:
            return node
        try:
            return number(compute(left, right)) or node
        except (ArithmeticError, TypeError, ValueError):
            return node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if not is_number(node.operand) or not isinstance(node.op, (ast.USub, ast.UAdd)):
            return node
        value = node.operand.value
        return ast.Constant(-value if isinstance(node.op, ast.USub) else value)


def is_number(node):
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def number(value):
    if type(value) is float or (type(value) is int and value.bit_length() <= FOLDED_BITS):
        return ast.Constant(value)
    return None


def meaning(path, text):
    if not path.endswith(".py"):
        lines = [line.rstrip() for line in text.splitlines()]
        return {"hash": text_hash("\n".join(lines).rstrip())}
    # Python takes a byte order mark in a file, and not in a text.
    text = text.removeprefix("\ufeff")
    try:
        compile(text, path, "exec", dont_inherit=True)  # finds more than the parser does: `return` outside a function
        return {"hash": Writer(Fold().visit(ast.parse(text))).digest.hexdigest()}
    except SyntaxError as error:
        where = "" if error.lineno is None else f"line {error.lineno}: "
        line = (error.text or "").strip()[:200]
        return {"error": f"{where}{error.msg}{': ' + line if line else ''}"}
    except ValueError as error:  # a NUL in the text, digits without end
        return {"error": str(error)[:200]}
    except (RecursionError, MemoryError):
        return {"hash": text_hash(text)}


def text_hash(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(RECURSION)
    files = json.load(sys.stdin)["files"]
    json.dump({"meanings": [meaning(file["path"], file["text"]) for file in files]}, sys.stdout)
