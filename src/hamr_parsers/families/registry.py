"""Which families there are: the packaged ones, those of installed plugins, and those registered at run time.

Theory. Importing this module reads nothing, and a lookup reads no more than it must: an id leads straight to
its own file, only a name that is no id needs the aliases of all entries. Plugins are asked last, on the
first lookup that nothing else answers and whenever all families are wanted, because finding out what is
installed costs more than all the rest. A name that was looked up once is found again without a lock: the
table of answers is thrown away whole when a family is registered.

Names. An id or any tool's alias, in any case, `-` and `_` alike. An id beats an alias of the same spelling;
an alias that two tools use for different families must be qualified with the tool (`vllm:openai`), and any
may be.

Plugins. An entry point of the group `hamr_parsers.families` is a mapping, or a callable that returns one: the
keys of an entry (as in the `.toml` files), with the grammar's text under `grammar`. One that cannot be loaded
is a warning, not an error: somebody else's package must not break parsing.
"""

from __future__ import annotations

import os
import pathlib
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hamr_parsers.errors import HamrParsersError, UnknownParserError
from hamr_parsers.families.entry import Family, FamilyEntryError, Hint, normal_name
from hamr_parsers.families.prebuilt import Prebuilt

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = [
    "ENTRY_POINT_GROUP",
    "AmbiguousParserError",
    "FamilyConflictError",
    "UnregisteredFamilyError",
    "generation",
    "get_family",
    "grammar_text",
    "hints",
    "list_families",
    "packaged_text",
    "prebuilt",
    "register_family",
]

ENTRY_POINT_GROUP = "hamr_parsers.families"
_HINTS = "others.toml"


class FamilyConflictError(HamrParsersError, ValueError):
    """A family cannot be registered: its id or an alias already means another one."""


class UnregisteredFamilyError(UnknownParserError):
    """The name is that of a family which is known but not registered. `family` is its id."""

    def __init__(self, name: str, family: str, dialect: str | None = None) -> None:
        HamrParsersError.__init__(
            self,
            f"parser {name!r} is the family {family!r}, which is not registered yet"
            + (f"; {dialect!r} reads the same dialect" if dialect else "")
            + " (hamr_parsers.list_families() and `hamr-parse parsers` list those that are)",
        )
        self.name = name
        self.family = family
        self.dialect = dialect
        self.nearest = [dialect] if dialect else []

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.name, self.family, self.dialect))


class AmbiguousParserError(UnknownParserError):
    """Two tools use the name for different families. `nearest` lists the qualified names."""

    def __init__(self, name: str, qualified: list[str]) -> None:
        HamrParsersError.__init__(
            self, f"parser {name!r} means different families to different tools: say {' or '.join(qualified)}"
        )
        self.name = name
        self.nearest = qualified

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.name, self.nearest))


# --- packaged files -----------------------------------------------------------------------------------------


class _Files:
    """The packaged `.toml` and `.lark` files; `importlib.resources` only where there is no directory (its
    import alone costs more than reading every entry)."""

    def __init__(self) -> None:
        self.root: Traversable | pathlib.Path = pathlib.Path(__file__).parent
        if not self.root.is_dir():
            from importlib import resources

            self.root = resources.files(__package__)
        names = [item.name for item in self.root.iterdir()]
        self.grammars = frozenset(name for name in names if name.endswith(".lark"))
        self.entries = {  # normalised id -> file name
            normal_name(name[:-5]): name for name in names if name.endswith(".toml") and name != _HINTS
        }

        self.prebuilt = Prebuilt(self.read)

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def family(self, name: str) -> Family:
        text = self.read(name)
        known = self.prebuilt.entry(name[:-5], text)
        family = (
            Family.from_checked(known) if known is not None else Family.from_entry(_toml(text, name), name)
        )
        if family.id != name[:-5]:
            raise FamilyEntryError(f"{name}: id: {family.id!r} does not agree with the file's name")
        return family

    def hints(self) -> dict[str, Hint]:
        tables = _toml(self.read(_HINTS), _HINTS)
        out = {}
        for key, table in tables.items():
            where = f"{_HINTS}: [{key}]"
            if not isinstance(table, dict):
                raise FamilyEntryError(f"{where}: a table is wanted, not {table!r}")
            out[key] = Hint.from_entry({"id": key, **table}, where)
        return out


def _toml(text: str, where: str) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FamilyEntryError(f"{where}: not TOML: {error}") from None


# --- state --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Names:
    """Every name of a set of families: `exact` by `tool:name`, `loose` by the bare name."""

    ids: dict[str, str]
    exact: dict[str, str]
    loose: dict[str, tuple[str, ...]]  # alias -> the ids that it means

    @classmethod
    def of(cls, families: Mapping[str, Family | Hint]) -> _Names:
        ids = {normal_name(id_): id_ for id_ in families}
        exact: dict[str, str] = {}
        loose: dict[str, tuple[str, ...]] = {}
        for id_, family in families.items():
            for peer, alias in _aliases(family):
                key = f"{peer}:{alias}"
                if exact.setdefault(key, id_) != id_:
                    raise FamilyConflictError(f"{key!r} is an alias of both {exact[key]!r} and {id_!r}")
                if id_ not in loose.get(alias, ()):
                    loose[alias] = (*loose.get(alias, ()), id_)
        return cls(ids, exact, loose)

    def find(self, name: str) -> tuple[str, ...]:
        """The ids that a normalised name means: one, none, or several if tools disagree."""
        if name in self.ids:
            return (self.ids[name],)
        if name in self.exact:
            return (self.exact[name],)
        return self.loose.get(name, ())

    def qualified(self, name: str) -> list[str]:
        return sorted(key for key in self.exact if key.partition(":")[2] == name)

    def alike(self, name: str) -> list[str]:
        """Names of the kind that `name` is (qualified or not), to find the nearest in."""
        return sorted(self.exact if ":" in name else {*self.ids.values(), *self.loose})


def _aliases(family: Family | Hint) -> Iterator[tuple[str, str]]:
    for peer, names in family.aliases.items():
        for name in names:
            yield peer, normal_name(name)


class _Registry:
    """The state, and what changes it. Every method is called with the lock held."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.files: _Files | None = None
        self.families: dict[str, Family] = {}  # those read so far, by id
        self.removed: dict[str, Family | None] = {}  # what a registration stands in front of
        self.names: _Names | None = None
        self.hints: dict[str, Hint] | None = None
        self.hint_names: _Names | None = None
        self.plugins = False
        self.found: dict[str, Family] = {}  # name as given -> family: the fast path
        self.generation = 0

    def changed(self) -> None:
        self.names = None
        self.hint_names = None
        self.found = {}
        self.generation += 1

    def packaged(self) -> _Files:
        if self.files is None:
            self.files = _Files()
        return self.files

    def read(self, id_: str, name: str) -> Family:
        family = self.packaged().family(name)
        self.families = {**self.families, id_: family}
        return family

    def read_all(self) -> None:
        for name in self.packaged().entries.values():
            if name[:-5] not in self.families:
                self.read(name[:-5], name)

    def read_plugins(self) -> None:
        if self.plugins:
            return
        self.plugins = True  # first: a plugin that looks families up must not come back here
        if not _plugins_present():
            return
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP):
            where = f"entry point {point.name} = {point.value}"
            try:
                found = point.load()
                found = found() if callable(found) and not isinstance(found, Family) else found
                self.add(_family(found, None, where), where, replace_=False)
            except Exception as error:
                warnings.warn(f"{where}: the family cannot be used: {error}", RuntimeWarning, stacklevel=2)

    def complete(self) -> None:
        self.read_all()
        self.read_plugins()
        self.name_all()

    def name_all(self) -> _Names:
        if self.names is None:
            self.names = _Names.of(self.families)
        return self.names

    def name_hints(self) -> _Names:
        if self.hints is None:
            self.hints = self.packaged().hints()
        if self.hint_names is None:
            self.hint_names = _Names.of(self.open_hints())
        return self.hint_names

    def open_hints(self) -> dict[str, Hint]:
        if self.hints is None:
            self.hints = self.packaged().hints()
        return {id_: hint for id_, hint in self.hints.items() if id_ not in self.families}

    def add(self, family: Family, where: str, replace_: bool) -> None:
        self.read_all()
        self.check(family, where, replace_)
        if family.id not in self.removed:
            self.removed[family.id] = self.families.get(family.id)
        self.families = {**self.families, family.id: family}
        self.changed()

    def check(self, family: Family, where: str, replace_: bool) -> None:
        """Refuse a family that would change what a name means to those who use it already."""
        key = normal_name(family.id)
        rest = _Names.of({id_: f for id_, f in self.families.items() if normal_name(id_) != key})
        for id_ in self.families:
            if normal_name(id_) == key and not (replace_ and id_ == family.id):
                raise FamilyConflictError(
                    f"{where}: id: {family.id!r} is registered already"
                    + (" (replace=True takes its place)" if id_ == family.id else f" (as {id_!r})")
                )
        if rest.find(key):
            raise FamilyConflictError(f"{where}: id: {family.id!r} is an alias of {rest.find(key)[0]!r}")
        for peer, alias in _aliases(family):
            other = rest.exact.get(f"{peer}:{alias}")
            if alias in rest.ids:  # what another tool means by an id can be asked for by its qualified name
                other = other or (rest.ids[alias] if peer == "hamr" else None)
            else:
                other = other or next(iter(rest.loose.get(alias, ())), None)
            if other:
                raise FamilyConflictError(f"{where}: aliases: {peer}: {alias!r} means {other!r} already")

    def find(self, name: str) -> Family:
        key = normal_name(name)
        if ":" not in key:
            id_ = self.names.ids.get(key) if self.names else None
            if id_ is None and key in self.packaged().entries:
                id_ = self.packaged().entries[key][:-5]
            if id_ is not None:
                return self.families.get(id_) or self.read(id_, f"{id_}.toml")
        self.read_all()
        ids = self.name_all().find(key)
        if not ids:
            self.read_plugins()
            ids = self.name_all().find(key)
        if len(ids) > 1:
            raise AmbiguousParserError(name, self.name_all().qualified(key))
        if ids:
            return self.families[ids[0]]
        for id_ in self.name_hints().find(key)[:1]:
            hint = self.open_hints()[id_]
            raise UnregisteredFamilyError(name, id_, hint.dialect)
        raise UnknownParserError(name, self.name_all().alike(key))


_registry = _Registry()


def _plugins_present() -> bool:
    """Whether any installed package may offer families: a look at the files that would say so, because
    importing `importlib.metadata` and asking it takes several times as long. In doubt, yes."""
    for directory in sys.path:
        try:
            with os.scandir(directory or ".") as items:
                found = [i.path for i in items if i.name.endswith((".dist-info", ".egg-info"))]
        except NotADirectoryError:
            return True  # a zip or an egg
        except OSError:
            continue
        for path in found:
            try:
                with open(os.path.join(path, "entry_points.txt"), "rb") as file:
                    if ENTRY_POINT_GROUP.encode() in file.read():
                        return True
            except OSError:
                continue
    return False


def _grammars() -> frozenset[str]:
    with _registry.lock:
        return _registry.packaged().grammars


def _family(entry: object, grammar: str | None, where: str) -> Family:
    """A stranger's entry in any of its shapes, checked whole."""
    if isinstance(entry, Family):
        family = entry if grammar is None else replace(entry, grammar=grammar)
    elif isinstance(entry, str):
        family = Family.from_entry(_toml(entry, where), where, grammar)
    elif isinstance(entry, Mapping):
        family = Family.from_entry(entry, where, grammar)
    else:
        kind = type(entry).__name__
        raise FamilyEntryError(f"{where}: an entry is a mapping, TOML text or a Family, not {kind}")
    text = family.grammar
    if family.kind == "grammar" and (text is None or ("\n" not in text and text not in _grammars())):
        raise FamilyEntryError(f"{where}: grammar: the text of a grammar is wanted, not {text!r}")
    family.check_patterns(where)
    return family


# --- public -------------------------------------------------------------------------------------------------


def list_families() -> list[Family]:
    """Every registered family, those of installed plugins included, sorted by id."""
    with _registry.lock:
        _registry.complete()
        return [_registry.families[id_] for id_ in sorted(_registry.families)]


def get_family(name: str) -> Family:
    """The family with this id, or that any tool calls so (`qwen25`, `vllm:qwen3_json`); case does not matter,
    nor does `-` or `_`.

    Raises:
        UnknownParserError: there is none; the message names the nearest. Its subclass
            `UnregisteredFamilyError` says that the family is known but not registered, `AmbiguousParserError`
            that tools use the name for different families.
        FamilyEntryError: the family's entry is wrong.
    """
    if not isinstance(name, str):
        raise UnknownParserError(repr(name))
    found = _registry.found.get(name)
    if found is None:
        with _registry.lock:
            generation = _registry.generation
            found = _registry.find(name)
            if generation == _registry.generation and len(_registry.found) < 1024:
                _registry.found[name] = found
    return found


def register_family(
    grammar: str | None, entry: Mapping[str, object] | str | Family, *, replace: bool = False
) -> Family:
    """Add a family to the registry of this process, for all threads.

    Args:
        grammar: the text of its grammar, or the name of a packaged one (`hermes.lark`) to share; None if the
            entry has it, or needs none.
        entry: a mapping with the keys of an entry, the same as TOML text, or a `Family`.
        replace: take the place of a family that has the same id.

    Returns:
        The family as registered.

    Raises:
        FamilyEntryError: the entry is wrong; the message names the key.
        FamilyConflictError: its id or one of its aliases means another family already.
    """
    where = "register_family"
    family = _family(entry, grammar, where)
    with _registry.lock:
        _registry.read_plugins()
        _registry.add(family, f"{where}: {family.id}", replace)
    return family


def grammar_text(family: Family) -> str:
    """The text of a family's grammar.

    Raises:
        FamilyEntryError: it has none, or the packaged file is missing.
    """
    if family.grammar is None:
        raise FamilyEntryError(f"{family.id}: grammar: a family of kind {family.kind!r} has none")
    if "\n" in family.grammar:
        return family.grammar
    if family.grammar not in _grammars():
        raise FamilyEntryError(f"{family.id}: grammar: there is no file {family.grammar!r}")
    return packaged_text(family.grammar)


def packaged_text(name: str) -> str:
    """The text of a file beside the entries, such as a grammar that others import rules from.

    Raises:
        FileNotFoundError: there is none of this name.
    """
    with _registry.lock:
        return _registry.packaged().read(name)


def prebuilt() -> Prebuilt:
    """What was computed ahead of time from the packaged files."""
    with _registry.lock:
        return _registry.packaged().prebuilt


def generation() -> int:
    """A number that changes whenever a family is registered, for caches of what was looked up."""
    return _registry.generation


def hints() -> list[Hint]:
    """The families that are known but not registered."""
    with _registry.lock:
        _registry.complete()
        return list(_registry.open_hints().values())


def _unregister(id_: str) -> None:
    """Undo `register_family` (for tests): what the family stood in front of is back."""
    with _registry.lock:
        before = _registry.removed.pop(id_)
        families = dict(_registry.families)
        if before is None:
            del families[id_]
        else:
            families[id_] = before
        _registry.families = families
        _registry.changed()
