"""Hashes Python files so that the same code in other words has the same hash.

ast-hash.ts runs it: one JSON object on stdin, one on stdout, results in the order of the files:

    in   {"files": [{"path": "train.py", "text": "..."}]}
    out  {"hashes": [{"hash": "..."} | {"error": "line 12: invalid syntax: def f(:"}]}

The hash of a Python file is that of its syntax tree without comments, layout, docstrings and `pass`, with local names
numbered and arithmetic on numbers done. Files with equal hashes do the same; files that do the same may have different
hashes. Of other files only blank space at the ends of lines is ignored.

A change to these rules needs a new SCHEME in ast-hash.ts. The standard library is enough.
"""

import ast
import hashlib
import json
import operator
import symtable
import sys
import warnings

RECURSION = 6000  # frames; deeper nesting is hashed as text
FOLDED_BITS = 512  # larger integers, powers and shifts are not computed
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
REFLECTION = {"eval", "exec", "locals", "vars", "globals", "inspect"}  # may read local names
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# Fields that hold a name. Attributes and keywords are left out: objects of other files may have them.
NAME_FIELDS = {
    ast.Name: "id",
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}


def local_names(text, tree):
    """The names that only function scopes bind, and that no call names as a keyword: renaming one changes nothing."""
    if any(isinstance(node, ast.Name) and node.id in REFLECTION for node in ast.walk(tree)):
        return set()
    bound, fixed = set(), {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    tables = [symtable.symtable(text, "file", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        is_function = table.get_type() == "function"
        for symbol in table.get_symbols():
            (bound if is_function and not symbol.is_global() else fixed).add(symbol.get_name())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fixed.add(node.name)
        elif isinstance(node, ast.alias) and node.asname is None:
            fixed.add(node.name.split(".")[0])
    return bound - fixed


class Normal(ast.NodeTransformer):
    """Numbers local names in each outermost function, drops statements without effect, computes arithmetic."""

    def __init__(self, names):
        self.names = names
        self.numbers = {}
        self.depth = 0

    def visit(self, node):
        if isinstance(node, FUNCTIONS):
            if self.depth == 0:
                self.numbers = {}
            self.depth += 1
        node = super().visit(node)
        if isinstance(node, FUNCTIONS):
            self.depth -= 1
        return node

    def generic_visit(self, node):
        field = NAME_FIELDS.get(type(node))
        if field and getattr(node, field) in self.names:
            setattr(node, field, self.number(getattr(node, field)))
        elif isinstance(node, ast.alias) and node.asname in self.names:
            node.asname = self.number(node.asname)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            node.names = [self.number(name) if name in self.names else name for name in node.names]
        return super().generic_visit(node)

    def number(self, name):
        return self.numbers.setdefault(name, f"${len(self.numbers)}")

    def visit_Pass(self, _node):
        return None

    def visit_Expr(self, node):
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_BinOp(self, node):
        self.generic_visit(node)
        sides = [node.left, node.right]
        if not all(isinstance(side, ast.Constant) and type(side.value) in (int, float) for side in sides):
            return node
        left, right = node.left.value, node.right.value
        if type(node.op) not in ARITHMETIC:
            return node
        if isinstance(node.op, (ast.Pow, ast.LShift)) and abs(right) > FOLDED_BITS:
            return node
        try:
            value = ARITHMETIC[type(node.op)](left, right)
        except (ArithmeticError, TypeError, ValueError):
            return node
        is_folded = type(value) is float or (type(value) is int and value.bit_length() <= FOLDED_BITS)
        return ast.Constant(value) if is_folded else node


def dump(value):
    """The tree as text, without contexts and empty fields, which differ between versions of Python."""
    if isinstance(value, ast.Constant):
        return f"{type(value.value).__name__} {value.value!r}"
    if isinstance(value, ast.AST):
        fields = [(name, each) for name, each in ast.iter_fields(value) if each is not None and each != []]
        inside = [f"{name}={dump(each)}" for name, each in fields if not isinstance(each, ast.expr_context)]
        return f"{type(value).__name__}({', '.join(inside)})"
    return f"[{', '.join(map(dump, value))}]" if isinstance(value, list) else repr(value)


def ast_hash(path, text):
    if not path.endswith(".py"):
        return {"hash": text_hash("\n".join(line.rstrip() for line in text.splitlines()).rstrip())}
    text = text.removeprefix("\ufeff")  # Python accepts a byte order mark in a file, but not in a string
    try:
        compile(text, path, "exec", dont_inherit=True)  # finds more than ast.parse: `return` outside a function
        tree = ast.parse(text)
        return {"hash": text_hash(dump(Normal(local_names(text, tree)).visit(tree)))}
    except SyntaxError as error:
        where = "" if error.lineno is None else f"line {error.lineno}: "
        line = (error.text or "").strip()[:200]
        return {"error": f"{where}{error.msg}{': ' + line if line else ''}"}
    except ValueError as error:  # a NUL in the text, or a number with too many digits
        return {"error": str(error)[:200]}
    except (RecursionError, MemoryError):
        return {"hash": text_hash(text)}


def text_hash(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(RECURSION)
    files = json.load(sys.stdin)["files"]
    json.dump({"hashes": [ast_hash(file["path"], file["text"]) for file in files]}, sys.stdout)
