from pathlib import Path

import pytest
from pydantic import ValidationError

from castmark.batch import Job, JobRow, plan, read_job
from castmark.errors import InputError
from castmark.shot import Shot
from castmark_adapters.subject import Subject


def test_a_csv_says_what_to_draw(tmp_path: Path, mira: Subject) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "name,prompt,subject,seed,count,width,height,steps\n"
        'beach,"mira at the beach, smiling",mira,7,,,,\n'
        "\n"
        ",a red mug,,3,2,64,32,1\n",
        encoding="utf-8-sig",
    )
    job = read_job(file)
    shots = [planned.shot for planned in plan(job, {"mira": mira}.__getitem__)]
    assert shots == [
        Shot("mira at the beach, smiling", subjects=[mira], seed=7, name="beach"),
        Shot("a red mug", seed=3, width=64, height=32, steps=1, name="row-0002-01"),
        Shot("a red mug", seed=4, width=64, height=32, steps=1, name="row-0002-02"),
    ]


def test_jsonl_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,prompt,seed\na,a mug,1\nb,a cup,\n")
    (tmp_path / "b.jsonl").write_text(
        '{"name":"a","prompt":"a mug","seed":1}\n\n{"name":"b","prompt":"a cup","seed":null}\n'
    )
    assert read_job(tmp_path / "a.csv").rows == read_job(tmp_path / "b.jsonl").rows


BAD_CSV = {
    "": "job file is empty",
    "  \n ": "job file is empty",
    "prompt,seed\n": "no row",
    "name,seed\na,1\n": "lacks the column 'prompt'",
    "prompt,colour\na mug,red\n": "unknown column 'colour'",
    "prompt,prompt\na,b\n": "column 'prompt' is there twice",
    "prompt,seed\na mug,1\na cup,seven\n": "row 2 (line 3), column 'seed': 'seven'",
    "prompt,seed\na mug,-1\n": "row 1 (line 2), column 'seed': '-1'",
    "prompt,count\na mug,0\n": "column 'count'",
    "prompt,width\na mug,0.5\n": "column 'width': '0.5'",
    "prompt,steps\na mug,1000\n": "column 'steps'",
    "prompt,seed\n,1\n": "row 1 (line 2), column 'prompt': is missing",
    "prompt,seed\na, mug,1\n": "row 1 (line 2) has 3 cells and the header 2 columns",
    "prompt,seed\na mug\n": "row 1 (line 2) has 1 cells",
    "prompt\n\"a mug\n": "not valid CSV",
    "name,prompt\n../escape,a mug\n": "row 1 (line 2), column 'name': '../escape' cannot name a file",
    "name,prompt\n/etc/passwd,a mug\n": "cannot name a file",
    "name,prompt\n.hidden,a mug\n": "cannot name a file",
    "name,prompt\na\\b,a mug\n": "cannot name a file",
    "name,prompt\nMug,one\nmug,two\n": "row 2, column 'name': 'mug' is already the name of an image of row 1",
    "name,prompt,count\na,one,2\na-02,two,\n": "row 2, column 'name': 'a-02' is already the name",
    "prompt,subject\na mug,../mira\n": "column 'subject': '../mira' is not a subject's name",
    "prompt\na\0mug\n": "line 2 holds a NUL",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_bad_csv_is_one_clear_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_job(file)
    message = str(caught.value)
    assert BAD_CSV[text] in message
    assert str(file) in message
    assert "\n" not in message


BAD_JSONL = {
    "{": "row 1 (line 1) is not JSON",
    "[1]": "row 1 (line 1) is not a JSON object",
    '{"prompt": "a"}\n{"prompt": "b", "sed": 1}': "row 2 (line 2), column 'sed': unknown column",
    '{"prompt": "a", "seed": "x"}': "row 1 (line 1), column 'seed': 'x'",
    '{"prompt": ["a"]}': "row 1 (line 1), column 'prompt'",
    '{"name": 3, "prompt": "a"}': "row 1 (line 1), column 'name'",
    "[" * 100_000: "row 1 (line 1) is not JSON",
}


@pytest.mark.parametrize("text", BAD_JSONL, ids=lambda text: text[:20])
def test_a_bad_jsonl_is_one_clear_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.jsonl"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_job(file)
    assert BAD_JSONL[text] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("jobs.csv", "prompt\ncafé\n".encode("latin-1"), "line 2 is not UTF-8"),
        ("jobs.csv", "prompt\na\n".encode("utf-16"), "is UTF-16"),
        ("jobs.xlsx", b"PK", "unknown kind of job file '.xlsx'"),
        ("jobs.csv", bytes(range(128, 256)), "is not UTF-8"),
    ],
)
def test_wrong_encodings_and_kinds(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_job(tmp_path / name)


def test_a_missing_job_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: job file cannot be read"):
        read_job(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_job(tmp_path)


def test_many_rows_are_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("prompt,seed\n" + "".join(f"mug {i},{i}\n" for i in range(5000)))
    rows = read_job(file).rows
    assert [row.seed for row in rows] == list(range(5000))
    assert rows[-1].name == "row-5000"


def test_rows_are_frozen_and_closed() -> None:
    row = JobRow(name="a", prompt="a mug")
    with pytest.raises(ValidationError):
        row.prompt = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        JobRow.model_validate({"name": "a", "prompt": "a", "colour": "red"})
    with pytest.raises(ValidationError):
        Job(source="empty", rows=())


def test_names_that_meet_only_after_counting_are_found_in_a_job_made_in_memory() -> None:
    rows = (JobRow(name="a", prompt="x", count=2), JobRow(name="A-01", prompt="y"))
    with pytest.raises(InputError, match="two images would be named 'A-01'"):
        plan(Job(source="memory", rows=rows), lambda name: pytest.fail(name))
