"""The registry: what is registered, what names find it, what is refused and how, and that it costs no more
than it must."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hamr_parsers.errors import HamrParsersError, UnknownParserError
from hamr_parsers.families import registry
from hamr_parsers.families.entry import Family, FamilyEntryError, FrozenMap
from hamr_parsers.families.registry import (
    AmbiguousParserError,
    FamilyConflictError,
    UnregisteredFamilyError,
    get_family,
    grammar_text,
    list_families,
    register_family,
)

GRAMMAR = "start: CONTENT\n"
ENTRY = {"id": "acme", "title": "Acme", "aliases": {"hamr": ["acme-tools"], "vllm": ["acme_v1"]}}
IDS = [family.id for family in list_families()]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Whatever a test registers is gone after it."""
    yield
    for id_ in list(registry._registry.removed):
        registry._unregister(id_)
    assert [family.id for family in list_families()] == IDS


def test_the_first_families_are_there() -> None:
    assert {"hermes", "qwen3_coder", "llama3_json", "mistral", "openai", "auto"} <= set(IDS)
    assert sorted(IDS) == IDS


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("hermes", "hermes"),
        ("qwen", "hermes"),
        ("qwen25", "hermes"),
        ("qwen3_json", "hermes"),
        ("json_tools", "hermes"),
        ("qwen3_coder", "qwen3_coder"),
        ("qwen3-coder", "qwen3_coder"),
        (" Qwen3_XML ", "qwen3_coder"),
        ("qwen_xml", "qwen3_coder"),
        ("qwen_coder", "qwen3_coder"),
        ("nanbeige", "qwen3_coder"),
        ("nemotron", "qwen3_coder"),
        ("llama3_json", "llama3_json"),
        ("LLAMA4-JSON", "llama3_json"),
        ("llama3", "llama3_json"),
        ("llama", "llama3_json"),
        ("mistral", "mistral"),
        ("openai", "openai"),
        ("passthrough", "openai"),
        ("auto", "auto"),
        ("vllm:qwen3_json", "hermes"),
        ("smg:qwen", "hermes"),
        ("SGLang:Qwen25", "hermes"),
        ("hamr:openai", "openai"),
        ("mlx:mistral", "mistral"),
    ],
)
def test_ids_and_aliases_resolve(name: str, id_: str) -> None:
    assert get_family(name).id == id_
    assert get_family(name) is get_family(id_)


def test_what_vllm_calls_openai_is_not_the_pass_through() -> None:
    assert get_family("openai").kind == "passthrough"
    assert {get_family(name).id for name in ("vllm:openai", "gpt_oss", "gpt-oss", "harmony")} == {"gpt_oss"}


def test_a_known_family_says_who_reads_its_dialect() -> None:
    error = UnregisteredFamilyError("acme", "acme", "hermes")
    assert "'acme', which is not registered yet; 'hermes' reads the same dialect" in str(error)
    assert error.nearest == ["hermes"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("hermse", "hermes"),
        ("qwen3_codr", "qwen3_coder"),
        ("Mistrall", "mistral"),
        ("vllm:hermez", "vllm:hermes"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownParserError) as caught:
        get_family(name)
    assert caught.value.nearest[0] == nearest
    assert f"{name!r}; did you mean {nearest!r}" in str(caught.value)
    assert "list_families()" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["", "   ", ":", "zzzz", "nobody:hermes", 3, None, b"hermes", [], "hermes/../mistral", "x" * 9999]
)
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(UnknownParserError):
        get_family(name)  # type: ignore[arg-type]


def test_errors_survive_pickling() -> None:
    for error in (
        UnregisteredFamilyError("vllm:openai", "gpt_oss"),
        UnregisteredFamilyError("trinity", "trinity", "hermes"),
        AmbiguousParserError("x", ["sglang:x", "vllm:x"]),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


# --- entries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list_families(), ids=lambda family: family.id)
def test_every_entry_is_whole(family: Family) -> None:
    family.check_patterns(family.id)
    assert family.title
    assert family.source
    if family.kind == "grammar":
        assert "start" in grammar_text(family)
        assert family.models
        assert "{name}" in family.canonical["call"]
        assert "{content}" in family.canonical["content"]
        assert ("reasoning" in family.canonical) is family.reasoning
        assert family.aliases["hamr"]
        assert family.id == "generic" or (family.turn and (family.name_patterns or family.base_patterns))
    elif family.kind == "response_template":
        assert "start" in grammar_text(family)  # what is read without a template
    else:
        assert family.grammar is None
        with pytest.raises(FamilyEntryError, match=f"{family.id}: grammar"):
            grammar_text(family)


@pytest.mark.parametrize("family", list_families(), ids=lambda family: family.id)
def test_families_are_values(family: Family) -> None:
    again = pickle.loads(pickle.dumps(family))
    assert again == family
    assert hash(again) == hash(family)
    assert copy.copy(family) is family
    assert copy.deepcopy({"family": family})["family"] is family
    with pytest.raises(AttributeError):
        family.id = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        family.aliases["vllm"] = ("x",)  # type: ignore[index]


def test_patterns_can_match_a_normalised_name() -> None:
    for entry in (*list_families(), *registry.hints()):
        for pattern in (*entry.name_patterns, *entry.base_patterns):
            plain = re.sub(r"\\.", "", pattern)
            assert plain == plain.lower(), (entry.id, pattern)
            assert not set("_ ") & set(plain), (entry.id, pattern)


def test_hints_are_consistent() -> None:
    for hint in registry.hints():
        assert hint.id not in IDS
        assert hint.dialect is None or hint.dialect in IDS
        Family(
            hint.id, hint.id, name_patterns=hint.name_patterns, base_patterns=hint.base_patterns
        ).check_patterns("")


def test_frozen_map() -> None:
    frozen = FrozenMap({"a": 1})
    assert dict(frozen) == {"a": 1} == frozen
    assert hash(frozen) == hash(FrozenMap({"a": 1}))
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    assert repr(FrozenMap()) == "FrozenMap({})"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id: a string is wanted, not None"),
        ({"id": ""}, "id: '' is no id"),
        ({"id": "Acme Tools"}, "id: 'Acme Tools' is no id"),
        ({"title": 3}, "title: a string is wanted, not 3"),
        ({"title": ""}, "title: an empty string"),
        ({"colour": "red"}, "colour: unknown key"),
        ({"name_patterns": "x"}, "name_patterns: a list of strings is wanted"),
        ({"name_patterns": [3]}, "name_patterns: a string is wanted, not 3"),
        ({"name_patterns": ["("]}, "name_patterns: '(' is no pattern"),
        ({"base_patterns": ["*"]}, "base_patterns: '*' is no pattern"),
        ({"always_reasoning": ["[a"]}, "always_reasoning: '[a' is no pattern"),
        ({"template_markers": ["a", []]}, "template_markers: an empty list is no marker"),
        ({"template_markers": [""]}, "template_markers: an empty string"),
        ({"bare": 1}, "bare: true or false is wanted, not 1"),
        ({"untyped": "number"}, "untyped: 'number' is not one of string, json"),
        ({"id_format": "uuid"}, "id_format: 'uuid' is not one of call, alnum9"),
        ({"kind": "magic"}, "kind: 'magic' is not one of grammar"),
        ({"kind": "passthrough"}, "grammar: a family of kind 'passthrough' has none"),
        ({"aliases": ["x"]}, "aliases: a table is wanted"),
        ({"aliases": {"acme": ["x"]}}, "aliases: unknown tool 'acme'"),
        ({"aliases": {"vllm": "x"}}, "aliases: a list of strings is wanted"),
        ({"aliases": {"vllm": ["a:b"]}}, "aliases: 'a:b' is no parser name"),
        ({"canonical": {"calls": "x"}}, "canonical: unknown key 'calls'"),
        ({"canonical": {"call": 1}}, "canonical: a string is wanted, not 1"),
        (
            {"canonical": {"values": "yaml"}},
            "canonical: values: 'yaml' is not one of json, python, mixed, members",
        ),
        ({"canonical": {"json": "0"}}, "canonical: json: '0' is not one of compact, 1, 2"),
        ({"canonical": {"quote": "`"}}, "canonical: quote: '`' is not one of"),
    ],
)
def test_a_wrong_entry_says_where_and_what(change: dict[str, object], message: str) -> None:
    entry = {**ENTRY, **change}
    with pytest.raises(FamilyEntryError) as caught:
        register_family(GRAMMAR, entry)
    assert str(caught.value).startswith("register_family: ")
    assert message in str(caught.value)
    assert isinstance(caught.value, HamrParsersError)
    assert isinstance(caught.value, ValueError)


def test_missing_keys_and_wrong_shapes() -> None:
    for entry, message in (
        ({"title": "x"}, "id: missing"),
        ({"id": "acme"}, "title: missing"),
        ("id = ", "not TOML"),
        (3, "an entry is a mapping, TOML text or a Family, not int"),
    ):
        with pytest.raises(FamilyEntryError, match=message):
            register_family(GRAMMAR, entry)  # type: ignore[arg-type]
    with pytest.raises(FamilyEntryError, match=r"the text of a grammar is wanted, not 'acme\.lark'"):
        register_family(None, ENTRY)
    with pytest.raises(FamilyEntryError, match=r"'\.\./x' is neither"):
        register_family(None, {**ENTRY, "grammar": "../x"})


def test_a_packaged_entry_that_is_wrong_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = registry._Files()
    monkeypatch.setattr(files, "root", tmp_path)
    for name, text, message in (
        ("a.toml", 'id = "a"\ntitle = 1', "a.toml: title: a string is wanted, not 1"),
        ("a.toml", 'id = "b"\ntitle = "B"', "a.toml: id: 'b' does not agree with the file's name"),
        ("a.toml", "id == 3", "a.toml: not TOML"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(FamilyEntryError, match=message):
            files.family(name)
    for text, message in (
        ("x = 3", r"\[x\]: a table"),
        ("[x]\nbare = true", r"others.toml: \[x\]: bare: unknown key"),
    ):
        (tmp_path / "others.toml").write_text(text, encoding="utf-8")
        with pytest.raises(FamilyEntryError, match=message):
            files.hints()


# --- registering --------------------------------------------------------------------------------------------


def test_register_by_mapping_text_and_value() -> None:
    before = registry.generation()
    family = register_family(GRAMMAR, ENTRY)
    assert registry.generation() > before
    assert get_family("ACME") is family
    assert get_family("acme_tools") is get_family("vllm:acme-v1") is family
    assert family in list_families()
    assert grammar_text(family) == GRAMMAR

    register_family(None, {"id": "acme2", "title": "x", "grammar": GRAMMAR})
    assert get_family("acme2").grammar == GRAMMAR
    register_family(GRAMMAR, 'id = "acme3"\ntitle = "x"\n[aliases]\nother = ["a3"]\n')
    assert get_family("other:a3").id == "acme3"
    register_family(None, Family("acme4", "x", kind="passthrough"))
    assert get_family("acme4").kind == "passthrough"
    register_family("hermes.lark", {"id": "acme5", "title": "shares a grammar"})
    assert grammar_text(get_family("acme5")) == grammar_text(get_family("hermes"))


def test_a_registered_family_is_unknown_again_after_it_is_gone() -> None:
    register_family(GRAMMAR, ENTRY)
    assert get_family("acme").id == "acme"
    registry._unregister("acme")
    with pytest.raises(UnknownParserError):
        get_family("acme")


def test_conflicts_are_refused_and_change_nothing() -> None:
    register_family(GRAMMAR, ENTRY)
    for entry, message in (
        ({"id": "hermes"}, "id: 'hermes' is registered already (replace=True takes its place)"),
        ({"id": "qwen3-coder"}, "id: 'qwen3-coder' is registered already (as 'qwen3_coder')"),
        ({"id": "qwen25"}, "id: 'qwen25' is an alias of 'hermes'"),
        ({"id": "acme_v1"}, "id: 'acme_v1' is an alias of 'acme'"),
        (
            {"id": "x", "aliases": {"vllm": ["qwen3-json"]}},
            "aliases: vllm: 'qwen3-json' means 'hermes' already",
        ),
        ({"id": "x", "aliases": {"mlx": ["qwen25"]}}, "aliases: mlx: 'qwen25' means 'hermes' already"),
        ({"id": "x", "aliases": {"hamr": ["mistral"]}}, "aliases: hamr: 'mistral' means 'mistral' already"),
    ):
        with pytest.raises(FamilyConflictError) as caught:
            register_family(GRAMMAR, {"title": "x", **entry})
        assert message in str(caught.value)
    with pytest.raises(FamilyConflictError, match="alias"):
        register_family(GRAMMAR, {"id": "hermes", "title": "x", "aliases": {"smg": ["llama"]}}, replace=True)
    assert get_family("hermes").title != "x"


def test_an_alias_that_is_another_familys_id_needs_its_tool() -> None:
    register_family(GRAMMAR, {"id": "acme", "title": "x", "aliases": {"smg": ["hermes"]}})
    assert get_family("hermes").id == "hermes"
    assert get_family("smg:hermes").id == "acme"


def test_names_that_tools_use_differently_must_be_qualified() -> None:
    names = registry._Names.of(
        {
            "a": Family("a", "A", aliases=FrozenMap({"vllm": ("x",)})),
            "b": Family("b", "B", aliases=FrozenMap({"sglang": ("X",)})),
        }
    )
    assert names.find("x") == ("a", "b")
    assert (names.find("vllm:x"), names.find("sglang:x")) == (("a",), ("b",))
    assert str(AmbiguousParserError("X", names.qualified("x"))) == (
        "parser 'X' means different families to different tools: say sglang:x or vllm:x"
    )


def test_replace_takes_the_place_and_gives_it_back() -> None:
    old = get_family("hermes")
    new = register_family(GRAMMAR, {"id": "hermes", "title": "Mine"}, replace=True)
    assert get_family("hermes") is new
    assert [f.id for f in list_families()] == IDS
    with pytest.raises(UnknownParserError):
        get_family("qwen25")  # the new one does not claim it
    register_family(GRAMMAR, {"id": "hermes", "title": "Mine too"}, replace=True)
    registry._unregister("hermes")
    assert get_family("hermes") == old
    assert get_family("qwen25") == old


def test_many_threads_at_once() -> None:
    problems: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait()
            for turn in range(30):
                id_ = f"acme-{number}-{turn}"
                register_family(GRAMMAR, {"id": id_, "title": "x", "aliases": {"other": [f"{id_}-alias"]}})
                assert get_family(id_).id == get_family(f"{id_}-alias").id == id_
                assert get_family("qwen25").id == "hermes"
                ids = [family.id for family in list_families()]
                assert set(IDS) <= set(ids)
                assert len(ids) == len(set(ids))
                registry._unregister(id_)
                with pytest.raises(UnknownParserError):
                    get_family(id_)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]


# --- what it costs, and plugins: in a process of its own -----------------------------------------------------


def run(code: str, *paths: Path) -> str:
    source = Path(registry.__file__).parents[2]
    path = [str(source), *map(str, paths)]
    code = f"import sys; sys.path[:0] = {path!r}\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_and_lookup_read_no_more_than_they_must() -> None:
    run(
        """
        from hamr_parsers.families import registry
        state = registry._registry
        assert state.files is None and not state.families
        assert "tomllib" not in sys.modules
        registry.get_family("Hermes")
        assert set(state.families) == {"hermes"} and state.names is None
        registry.get_family("qwen25")
        assert "importlib.metadata" not in sys.modules or state.plugins is False
        assert state.hints is None
        """
    )


def test_it_works_from_a_zip(tmp_path: Path) -> None:
    import shutil

    package = Path(registry.__file__).parents[1]
    copy_ = tmp_path / "copy" / "hamr_parsers"
    copy_.mkdir(parents=True)
    for name in ("errors.py", "events.py", "select.py", "families"):
        source = package / name
        if source.is_dir():
            shutil.copytree(source, copy_ / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy_ / name)
    (copy_ / "__init__.py").write_text("", encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "parsers"), "zip", tmp_path / "copy")
    code = f"""
        sys.path[0] = {archive!r}
        import hamr_parsers
        assert hamr_parsers.__file__.startswith({archive!r})
        from hamr_parsers.families import registry
        print([f.id for f in registry.list_families()], len(registry.grammar_text(registry.get_family("hermes"))) > 50)
    """
    assert run(code).split() == f"{IDS} True".split()


def plugin(tmp_path: Path, points: str, module: str) -> Path:
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[hamr_parsers.families]\n{points}\n", encoding="utf-8")
    (tmp_path / "acme_plugin.py").write_text(textwrap.dedent(module), encoding="utf-8")
    return tmp_path


def test_plugins_are_found_when_nothing_else_answers(tmp_path: Path) -> None:
    where = plugin(
        tmp_path,
        "a = acme_plugin:ENTRY\nb = acme_plugin:make",
        """
        ENTRY = {"id": "acme", "title": "Acme", "grammar": "start: A\\n", "aliases": {"vllm": ["acme_v1"]}}
        def make():
            return {"id": "acme_b", "title": "B", "grammar": "start: B\\n", "name_patterns": ["acme-?b"]}
        """,
    )
    for ask in (
        'get_family("acme")',
        'get_family("vllm:acme-v1")',
        '[f for f in list_families() if f.id == "acme"][0]',
    ):
        code = f"""
            from hamr_parsers.families.registry import get_family, list_families
            get_family("hermes"); get_family("qwen25")
            assert "acme_plugin" not in sys.modules
            assert {ask}.grammar == "start: A\\n"
            assert get_family("acme_b").title == "B"
        """
        run(code, where)
    code = """
        from hamr_parsers.select import resolve_parser
        print(resolve_parser(model="org/Acme-B-7B").parser)
    """
    assert run(code, where).strip() == "acme_b"


def test_a_plugin_that_is_broken_is_a_warning(tmp_path: Path) -> None:
    where = plugin(
        tmp_path,
        "a = acme_plugin:missing\nb = acme_plugin:clash\nc = acme_plugin:wrong\nd = acme_plugin:good",
        """
        clash = {"id": "hermes", "title": "x", "grammar": "start: A\\n"}
        wrong = {"id": "x", "title": "x", "grammar": "start: A\\n", "colour": "red"}
        good = {"id": "good", "title": "x", "grammar": "start: A\\n"}
        """,
    )
    code = """
        import warnings
        from hamr_parsers.families.registry import get_family, list_families
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            print([f.id for f in list_families()])
        for warning in caught:
            print(warning.message)
    """
    out = run(code, where)
    assert "'good'" in out
    assert "entry point a = acme_plugin:missing: the family cannot be used" in out
    assert (
        "b = acme_plugin:clash: the family cannot be used: entry point b = acme_plugin:clash: id: 'hermes'"
        in out
    )
    assert "colour: unknown key" in out
