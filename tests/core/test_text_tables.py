"""Tables as people write them: shapes of text, cells, formats, and what is said of a guess."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatcap.core.cells import TableNote, decimal_mark, like_number
from heatcap.core.tables import columns_of, errors_in_cells, read_frame, sizes_in
from heatcap.core.text_tables import read_lines

ROWS = [[8.0, 0.5, 0.88], [8.0, 0.6, 0.84], [16.0, 0.5, 0.91], [16.0, 0.6, 0.75]]
BODY = "8 0.5 0.88\n8 0.6 0.84\n16 0.5 0.91\n16 0.6 0.75\n"
WANTED = ["L", "T", "U"]


def read(path: Path, **options: object) -> tuple[list[list[float]], list[str]]:
    """Rows of L, T and U, and the notes."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", TableNote)
        frame = read_frame(path, wanted=WANTED, **options)  # type: ignore[arg-type]
        columns = columns_of(frame, WANTED, "t: ")
    rows = np.column_stack([columns[name] for name in WANTED]).tolist()
    return rows, [str(one.message) for one in told]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("L T U\n" + BODY, 0),
        ("# L T U\n" + BODY, 1),  # numpy.savetxt
        ("% made by MATLAB\n% L  T  U\n" + BODY, 1),
        ("# a run of last week\n#1:L 2:T 3:U\n" + BODY, 1),  # gnuplot
        ("# columns: L T U\n" + BODY, 1),
        ("Binder cumulant of Ising spins\nL T U\n" + BODY, 1),
        ("our best run\nL T U\n1 K 1\n" + BODY, 1),  # a title, the names, the units
        ("L [1] T [K] U [1]\n" + BODY, 3),
        ("L T U # names\n" + BODY.replace("0.84\n", "0.84  # a good one\n"), 0),
        ("L\tT\tU\n" + BODY.replace(" ", "\t"), 0),
        ("L;T;U\n" + BODY.replace(" ", ";").replace(".", ","), 1),
        ("L T U\r\n" + BODY.replace("\n", "\r\n"), 0),
        ("# T U\n# L = 8\n0.5 0.88\n0.6 0.84\n\n\n# L = 16\n0.5 0.91\n0.6 0.75\n", 2),  # blocks
        ("T U\nL=8\n0.5 0.88\n0.6 0.84\n\nL=16\nT U\n0.5 0.91\n0.6 0.75\n", 1),
        ("L T U\n8 0.5 0.88D+00\n8 .6 8.4e-1\n16 5.d-1 91%\n16 0.6 0.75\n", 1),
    ],
)
def test_a_text_is_read_in_whatever_shape(text: str, notes: int, tmp_path: Path) -> None:
    path = tmp_path / "t.dat"
    path.write_text(text)
    rows, told = read(path)
    assert rows == ROWS
    assert len(told) == notes, told


def test_names_on_the_command_line_take_the_place_of_those_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.dat"
    path.write_text("size temp cumulant\n" + BODY)
    rows, told = read(path, names=WANTED)
    assert rows == ROWS
    assert told == [f"{path}: 1 row above the data left out, --names are used"]
    path.write_text(BODY)
    assert read(path, names=WANTED) == (ROWS, [])
    with pytest.raises(ValueError, match=r"no header\? Then name the columns, --names"):
        read(path)


@pytest.mark.parametrize(
    ("cell", "value", "error"),
    [
        ("0.8826(30)", 0.8826, 0.0030),
        ("12.3(1.2)", 12.3, 1.2),
        ("1.23(4)e-2", 0.0123, 0.0004),
        ("123(4)", 123, 4),
        ("-0.5(10)", -0.5, 1.0),
        ("0.8826±0.003", 0.8826, 0.003),
        ("0.8826 +/- 0.003", 0.8826, 0.003),
        ("\u22120.5 +- 1e-3", -0.5, 1e-3),
        ("0.34%", 0.0034, np.nan),
        ("34 ± 2 %", 0.34, 0.02),
        ("0.88D+00", 0.88, np.nan),
        ("1.2×10^-3", 1.2e-3, np.nan),
        ("1,234.5", 1234.5, np.nan),
        ("1 234 567", 1234567, np.nan),
        ("1'234.5", 1234.5, np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore::heatcap.core.cells.TableNote")
def test_cells(cell: str, value: float, error: float) -> None:
    frame = pd.DataFrame({"U": ["0.5", cell]})
    assert columns_of(frame, ["U"], "")["U"][1] == pytest.approx(value, rel=1e-12)
    errors = errors_in_cells(frame, "U", "")
    assert (errors is None) == np.isnan(error)
    if errors is not None:
        assert errors[1] == pytest.approx(error, rel=1e-12)


@given(st.floats(-1e6, 1e6), st.integers(1, 99), st.integers(0, 8))
def test_digits_in_parentheses_count_the_last_places(
    value: float, digits: int, places: int
) -> None:
    frame = pd.DataFrame({"U": [f"{value:.{places}f}({digits})"]})
    assert columns_of(frame, ["U"], "")["U"][0] == float(f"{value:.{places}f}")
    errors = errors_in_cells(frame, "U", "")
    assert errors is not None
    assert errors[0] == pytest.approx(digits * 10.0**-places, rel=1e-12)


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (["0,5", "1"], ","),
        (["1.234,5"], ","),
        (["1,234.5"], "."),
        (["0,5", "0.5"], "."),  # neither: the first is refused
        (["1,234", "0.5"], "."),  # thousands
        (["1,234", "0,5"], ","),
        (["1,234", "16"], "?"),
        (["3,14", "1.234", "2.345"], "."),  # one slip among decimal points
        (["0,88(3)", "0,9±0,1"], ","),
        (["a,b", "x.y", "8"], "."),
    ],
)
def test_what_marks_decimals_is_decided_by_the_table(cells: list[str], mark: str) -> None:
    assert decimal_mark(cells) == mark


def test_a_comma_that_may_be_either_is_refused_with_the_option(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("L;T;U\n8;1,234;5\n8;2,345;6\n")
    with pytest.raises(ValueError, match=r"1234 or 1.234\? Say --decimal \. or --decimal ,"):
        read(path)
    assert read(path, decimal=",")[0][0] == [8, 1.234, 5]
    assert read(path, decimal=".")[0][0] == [8, 1234, 5]


@pytest.mark.parametrize("word", ["x", "1_000", "n/a", "1e", "--", "0x10", "1,2,3", "(3)", "3)"])
def test_what_is_no_number_is_none(word: str) -> None:
    assert not like_number(word) or word == "1_000"
    with pytest.raises(ValueError, match=r"t: row 2 of the data, column 'U': expected a number"):
        columns_of(pd.DataFrame({"U": ["0.5", word]}), ["U"], "t: ")


@pytest.mark.filterwarnings("ignore::heatcap.core.cells.TableNote")
def test_sizes_are_numbers_labels_or_edges() -> None:
    cells = ["16", "L=16", "L16", "16x16", "16 × 16 x 16", "N = 1.6e1"]
    assert sizes_in(pd.DataFrame({"L": cells}), "L", "").tolist() == [16.0] * 6
    with pytest.raises(ValueError, match=r"row 1 .* got '8x16' with different edges: add a column"):
        sizes_in(pd.DataFrame({"L": ["8x16"]}), "L", "")


FRAME = pd.DataFrame(ROWS, columns=WANTED)


def _written(path: Path) -> Path:
    kind = "".join(path.suffixes)
    if kind == ".json":
        path.write_text(FRAME.to_json(orient="records"))
    elif kind == ".split.json":
        path.write_text(FRAME.to_json(orient="split"))
    elif kind == ".columns.json":
        path.write_text(json.dumps(FRAME.to_dict(orient="list")))
    elif kind == ".pandas.json":
        path.write_text(FRAME.to_json())
    elif kind == ".jsonl":
        path.write_text(FRAME.to_json(orient="records", lines=True))
    elif kind == ".npz":
        np.savez(path, **{name: FRAME[name].to_numpy() for name in FRAME})
    elif kind == ".npy":
        np.save(path, FRAME.to_records(index=False))
    elif kind == ".csv.gz":
        path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))
    else:
        path.write_bytes(FRAME.to_csv(index=False).encode("utf-16"))
    return path


@pytest.mark.parametrize(
    "name",
    ["t.json", "t.split.json", "t.columns.json", "t.pandas.json", "t.jsonl", "t.npz", "t.npy",
     "t.csv.gz", "t.csv"],
)  # fmt: skip
def test_every_format_has_the_same_rows(name: str, tmp_path: Path) -> None:
    assert read(_written(tmp_path / name)) == (ROWS, [])


def test_an_array_of_numbers_takes_names(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array(ROWS))
    assert read(tmp_path / "t.npy", names=WANTED)[0] == ROWS
    with pytest.raises(ValueError, match=r"no column 'L', 'T', 'U'; .*--names L,C,dC"):
        read(tmp_path / "t.npy")
    with pytest.raises(ValueError, match="has 3 columns, got 2 --names"):
        read(tmp_path / "t.npy", names=["L", "T"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.xlsx", b"PK", r"t.xlsx: is a spreadsheet, .*soffice --headless --convert-to csv"),
        ("t.json", b"[1, 2]", r"read as JSON \(it holds neither records nor columns\)"),
        ("t.json", b"{", r"cannot be read as JSON"),
        ("t.json", b'{"L": [1, 2], "U": [1]}', "no lists of one length"),
        ("t.json", b'[{"L": [1]}]', "'L' has lists or objects as cells"),
        ("t.json", b"[" * 100_000, "cannot be read as JSON"),
        ("t.npz", b"PK\x03\x04", "cannot be read as NPZ"),
        ("t.csv.gz", b"\x1f\x8b\x08junk", "cannot be inflated"),
        ("t.csv", b"L,U\n1,\xb1\n", "is neither text in UTF-8 nor a table that is read"),
        ("t.csv", b"# nothing\n", "holds no data"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said) as told:
        read(tmp_path / name)
    assert "\n" not in str(told.value)


def test_objects_of_python_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([{"L": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as NPY"):
        read(tmp_path / "t.npy")


def test_no_message_lists_more_than_twelve_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{k:03d}x" for k in range(300)) + "\n" + ",".join("1" * 300))
    with pytest.raises(ValueError, match="'c011x' and 288 more"):
        read(path)


def test_a_missing_column_says_what_may_help(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("T,L=8,L=16\n0.5,1,2\n0.6,3,4\n")
    with pytest.raises(ValueError, match=r"one column for each size\? --wide"):
        read(path)
    path.write_text("T U\n0.5 1\n0.6 2\n\n0.5 3\n0.6 4\n")
    with pytest.raises(ValueError, match=r"2 blocks of lines, one for each size\? Write # L = 16"):
        read(path)


def test_powers_of_two_edges_and_separators_at_the_end_of_rows(tmp_path: Path) -> None:
    (path := tmp_path / "t.csv").write_text("L,T\n2^3,1,\n2**4,2,\n32X32,3,\n")
    frame = read_frame(path)
    with pytest.warns(TableNote, match="2\\^3 is read as 8"):
        assert sizes_in(frame, "L", "").tolist() == [8, 16, 32]
    assert frame["T"].tolist() == ["1", "2", "3"]


@pytest.mark.parametrize("separator", [";", "\t", "  ", "; "])
@pytest.mark.parametrize("error", ["", "(21)"])
def test_two_columns_of_decimal_commas(separator: str, error: str) -> None:
    """The comma would give three columns, all numbers but the one in the middle."""
    rows = [f"2,{k}000{separator}0,36{k}8{error}" for k in range(10, 20)]
    for header in ([separator.join("TM")], []):
        names = None if header else ["T", "M"]
        with pytest.warns(TableNote, match="decimal commas"):
            read = read_lines("\n".join(header + rows), "", names, ("T", "M"))
        assert read.header == ["T", "M"]
        assert read.rows[0] == ["2,10000", f"0,36108{error}"]
