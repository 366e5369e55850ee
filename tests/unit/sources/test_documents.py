"""Reading YAML files: as kubectl reads them, with lines, and nothing in a file can hurt."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgerun.sources.building import MAX_DEPTH, MAX_NODES
from edgerun.sources.documents import MAX_FILE_BYTES, Documents, documents


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


def read(file: Path, content: str | bytes) -> Documents:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return documents(file)


def values(file: Path, content: str) -> list[dict[str, Any]]:
    read_ = read(file, content)
    assert read_.problems == ()
    return [document.raw for document in read_.found]


def problem(file: Path, content: str | bytes) -> str:
    """What is said of a file with one mistake, without the folder."""
    (found,) = read(file, content).problems
    return str(found).removeprefix(f"{file.parent}/")


def test_a_file_may_hold_many_documents_and_empty_ones(file: Path) -> None:
    assert values(file, "# nothing\n---\na: 1\n---\n---\n# still nothing\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("content", ["", "\n", "# only a comment\n", "---\n---\n", "~\n", "null\n", "\ufeff"])
def test_a_file_may_be_empty(file: Path, content: str) -> None:
    assert values(file, content) == []


def test_a_byte_order_mark_is_no_part_of_the_text(file: Path) -> None:
    assert values(file, "\ufeffa: 1\n") == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ("'1'", "1"),
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("1_000", 1000),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("08", 8),
        ("1.5", 1.5),
        ("1.0", 1),
        ("1e3", 1000),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("!!binary aGk=", "aGk="),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!int '1'", 1),
        ("true", True),
        ("yes", True),
        ("off", False),
        ("n", False),
        ("~", None),
        ("", None),
        ("''", ""),
        ("=", "="),
        (".", "."),
        ("0x", "0x"),
        ("9" * 71, float("9" * 71)),
        ("1e999", "1e999"),
        ("1_0.5", 10.5),
        ("|\n  two\n  lines", "two\nlines\n"),
        (">\n  one\n  line", "one line\n"),
    ],
)
def test_a_scalar_means_what_kubectl_takes_it_for(file: Path, text: str, value: object) -> None:
    (found,) = values(file, f"a: {text}\n")
    assert found == {"a": value}
    assert type(found["a"]) is type(value) or isinstance(found["a"], float)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: .nan\n", "a.yaml:1: .nan is not a number that JSON has; give a finite one, or put it in quotes"),
        ("a: -.inf\n", "a.yaml:1: -.inf is not a number that JSON has; give a finite one, or put it in quotes"),
        ("a: !foo b\n", "a.yaml:1: the tag !foo means nothing here; leave it away"),
        ("a: !!python/name:os b\n", "a.yaml:1: the tag !!python/name:os means nothing here; leave it away"),
        ("a: 1\nb: 2\na: 3\n", 'a.yaml:3: key "a" already set in map, on line 1'),
        ("x:\n  a: 1\n  'a': 2\n", 'a.yaml:3: key "a" already set in map, on line 2'),
        ("on: 1\n", 'a.yaml:1: the key on is a boolean; write "on"'),
        ("a: {1: 2}\n", 'a.yaml:1: the key 1 is a number; write "1"'),
        ("~: 2\n", 'a.yaml:1: the key ~ is no string; write "~"'),
        ("? [a]\n: b\n", "a.yaml:1: a mapping or list cannot be a key; keys are strings"),
        ("- a\n", "a.yaml:1: the document is a list; an object is a mapping with apiVersion, kind and so on"),
        ("a\n", "a.yaml:1: the document is a single value; an object is a mapping with apiVersion, kind and so on"),
        ("a:\n\tb: 1\n", "a.yaml:2: not YAML at column 1: while scanning for the next token, found character that "
         "cannot start any token (a tab cannot indent YAML; use blanks)"),
        ("a: b: c\n", "a.yaml:1: not YAML at column 5: mapping values are not allowed in this context "
         '(a value that contains ": " has to be in quotes)'),
        ("a: @b\n", "a.yaml:1: not YAML at column 4: while scanning for the next token, found character that cannot "
         "start any token (a value that begins with @ has to be in quotes)"),
        ("a: 'b\n", "a.yaml:2: not YAML at column 1: while scanning a quoted scalar, found unexpected end of stream "
         "(a quote is opened here or before, and never closed)"),
        ("a:\n  b: 1\n c: 2\n", "a.yaml:3: not YAML at column 2: while parsing a block mapping, did not find expected "
         "key (is the line indented as its neighbours are?)"),
        ("a: *b\n", "a.yaml:1: the alias *b stands for nothing that is complete before it"),
        ("a: &a [*a]\n", "a.yaml:1: the alias *a stands for nothing that is complete before it"),
        ("a: &a x\n*a : b\n", "a.yaml:2: the alias *a cannot be a key; write the key out"),
        ("a: {<<: 1}\n", "a.yaml:1: << takes a mapping, or a list of mappings"),
        ("\n\na: \x01\n", "a.yaml:3: the character U+0001 is not allowed in YAML"),
        (b"a: b\nb: \xff\n", "a.yaml: the file is not UTF-8: byte 0xff on line 2; save it as UTF-8"),
        ("a: b\n".encode("utf-16"), "a.yaml: the file is UTF-16; save it as UTF-8"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_the_way_out(file: Path, content: str | bytes, message: str) -> None:
    assert problem(file, content) == message


def test_all_mistakes_are_told_and_good_documents_are_read(file: Path) -> None:
    found = read(file, "a: 1\na: 2\nb: .inf\n---\nc: 1\n---\n- d\n")
    assert [problem.line for problem in found.problems] == [2, 3, 7]
    assert [document.raw for document in found.found] == [{"c": 1}]


def test_a_syntax_error_costs_the_whole_file(file: Path) -> None:
    """Where a half-saved file would have gone on, nobody can tell."""
    assert read(file, "a: 1\n---\nb: [\n").found == ()


def test_aliases_and_merge_keys_stand_for_what_they_name(file: Path) -> None:
    content = "a: &a {x: 1, w: 2}\nb: *a\nc: {<<: *a, w: 3}\nd:\n  w: 4\n  <<: [*a, {z: 5, x: 6}]\n"
    assert values(file, content) == [
        {"a": {"x": 1, "w": 2}, "b": {"x": 1, "w": 2}, "c": {"x": 1, "w": 3}, "d": {"x": 1, "w": 4, "z": 5}}
    ]


def test_an_anchor_ends_with_its_document(file: Path) -> None:
    assert "stands for nothing" in problem(file, "a: &a 1\n---\nb: *a\n")


def test_a_list_of_kubernetes_is_its_items(file: Path) -> None:
    found = read(file, "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  b: 1\n- kind: B\n")
    assert [(document.raw["kind"], document.line) for document in found.found] == [("A", 4), ("B", 6)]
    assert found.found[0].lines.line("b") == 5


def test_an_item_of_a_list_that_is_no_object_is_told(file: Path) -> None:
    assert problem(file, "apiVersion: v1\nkind: List\nitems:\n- kind: A\n- 5\n").startswith("a.yaml:5: ")


def test_a_billion_laughs_are_counted_not_laughed(file: Path) -> None:
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert (
        problem(file, "\n".join(lines))
        == f"a.yaml:6: a document of more than {MAX_NODES:,} values, with its aliases written out"
    )


def test_a_billion_laughs_of_merge_keys_are_counted_as_well(file: Path) -> None:
    lines = ["a0: &a0 {k: lol}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    assert "more than" in problem(file, "\n".join(lines))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_before_it_hurts(file: Path, opening: str) -> None:
    assert f"nested deeper than {MAX_DEPTH} levels" in problem(file, opening * 100_000) or opening == "? "


def test_as_many_levels_as_allowed_are_read(file: Path) -> None:
    assert values(file, "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))


def test_a_huge_file_is_refused_unread(file: Path) -> None:
    with file.open("wb") as huge:
        huge.truncate(100 * MAX_FILE_BYTES)
    (found,) = documents(file).problems
    assert found.message == "the file has 1,677,721,600 bytes, more than 16,777,216; split it"


def test_a_huge_document_is_refused(file: Path) -> None:
    assert "more than" in problem(file, "a:\n" + "- 1\n" * (MAX_NODES + 1))


def test_what_is_no_file_is_told_without_waiting_for_it(tmp_path: Path) -> None:
    pipe, folder, link = tmp_path / "pipe.yaml", tmp_path / "folder.yaml", tmp_path / "link.yaml"
    os.mkfifo(pipe)
    folder.mkdir()
    link.symlink_to(link)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.yaml"))
        for path in (pipe, folder, tmp_path / "s.yaml"):
            assert [problem.message for problem in documents(path).problems] == ["not a regular file"]
    assert "symbolic links" in documents(link).problems[0].message
    assert documents(tmp_path / "none.yaml").problems[0].message == "cannot be read: No such file or directory"


def test_the_line_of_a_field_is_that_of_the_deepest_part_that_is_there(file: Path) -> None:
    content = """\
# a comment
metadata:
  name: web
  labels: {a.b/c: d}
spec:
  rules:
  - name: one
    set:
      x-a: b

  - {name: two}
"""
    (document,) = read(file, content).found
    expected = {
        "": 2,
        "metadata": 2,
        "metadata.name": 3,
        "metadata.labels.a.b/c": 4,
        "spec.rules": 6,
        "spec.rules[0].name": 7,
        "spec.rules[0].set.x-a": 9,
        "spec.rules[0].set[x-a]": 9,
        "spec.rules[0].set.x-b": 8,
        "spec.rules[0].nothing": 7,
        "spec.rules[1].name": 11,
        "spec.rules[7].name": 6,
        "status": 2,
    }
    assert {field: document.lines.line(field) for field in expected} == expected
    assert document.where == f"{file}:2"


# Not what the two YAML libraries disagree about: line ends of YAML 1.1 that are none elsewhere.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=6)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abc", min_size=1), PLAIN, min_size=1))
def test_what_a_yaml_library_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    assert values(file, yaml.safe_dump(value, default_style='"', allow_unicode=True)) == [value]


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    read(tmp_path_factory.getbasetemp() / "bytes.yaml", content)


@given(st.text("ab:-?&*[]{}!|>'\"%@`#,\n\t <~.0123", max_size=60))
def test_no_punctuation_at_all_raises(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    read(tmp_path_factory.getbasetemp() / "punctuation.yaml", content)
