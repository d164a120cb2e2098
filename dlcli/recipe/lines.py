"""Where the keys of a TOML document are: neither tomllib nor tomlkit remembers it."""

import re
import tomllib
from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the document's root."""

# Comments and strings first, so that marks inside them are not taken for marks; triple quotes before single ones.
TOKEN = re.compile(
    r"""
    (?P<skip>[ \t\r]+|\#[^\n]*)
  | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*')
  | (?P<mark>[\n\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)
END = "end"


class _Scanner:
    """Reads a document that is known to be valid TOML, and notes on which line each key or list item starts."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}
        self._tokens = self._tokenize(text)
        self._next()

    @staticmethod
    def _tokenize(text: str) -> Iterator[tuple[str, str, int]]:
        line = 1
        for match in TOKEN.finditer(text):
            kind = str(match.lastgroup)
            if kind != "skip":
                yield kind, match.group(), line
            line += match.group().count("\n")

    def _next(self) -> None:
        self.kind, self.token, self.line = next(self._tokens, (END, "", 0))

    def _take(self, mark: str) -> bool:
        """Go past a mark, if it is there."""
        found = self.kind == "mark" and self.token == mark
        if found:
            self._next()
        return found

    def _newlines(self) -> None:
        while self._take("\n"):
            pass

    def document(self) -> None:
        """Read it all."""
        table: KeyPath = ()
        while self.kind != END:
            if self._take("\n"):
                continue
            if self._take("["):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        """Read `[a.b]` or `[[a.b]]` after its first bracket; a list of tables that is passed means its last one."""
        line, is_list = self.line, self._take("[")
        keys = self._key()
        path: KeyPath = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            self.lines.setdefault(path, line)
            if is_list and position == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
                self.lines.setdefault(path, line)
        self._take("]")
        self._take("]")
        return path

    def _key(self) -> list[str]:
        keys: list[str] = []
        while self.kind in ("bare", "string"):
            keys.append(tomllib.loads(f"key = {self.token}")["key"] if self.kind == "string" else self.token)
            self._next()
            self._take(".")
        return keys

    def _pair(self, table: KeyPath) -> None:
        """Read `a.b = value`."""
        line, path = self.line, table
        for key in self._key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._take("=")
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            self._list(path)
        elif self._take("{"):
            self._newlines()
            while not self._take("}"):
                self._pair(path)
                self._newlines()
                self._take(",")
                self._newlines()
        else:
            while self.kind in ("bare", "string") or (self.kind == "mark" and self.token == "."):
                self._next()

    def _list(self, path: KeyPath) -> None:
        position = 0
        self._newlines()
        while not self._take("]"):
            self.lines[*path, position] = self.line
            self._value((*path, position))
            position += 1
            self._newlines()
            self._take(",")
            self._newlines()


def line_numbers(text: str) -> dict[KeyPath, int]:
    """Return the line on which every table, key and list item of a TOML document starts.

    Args:
        text: A valid document; what is not valid TOML is for tomllib to refuse first.

    Returns:
        Line numbers, from 1, by path; `("regularizers", 0, "patience")` is a key of the first regularizer.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines
