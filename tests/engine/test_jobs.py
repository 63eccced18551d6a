import json
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from castmark.errors import InputError
from castmark.jobs import COLUMNS, Job, JobRow, plan, read_job
from castmark.jobs.corrections import write_errors
from castmark.jobs.row import MAX_SUBJECTS
from castmark.jobs.schema import as_text, job_schema, published
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


def test_jsonl_and_yaml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,prompt,seed\na,a mug,1\nb,a cup,\n")
    (tmp_path / "b.jsonl").write_text(
        '{"name":"a","prompt":"a mug","seed":1}\n\n{"name":"b","prompt":"a cup","seed":null}\n'
    )
    (tmp_path / "c.yaml").write_text(
        "defaults: {prompt: a mug}\nrows:\n- {name: a, seed: 1}\n- name: b\n  prompt: a cup\n"
    )
    rows = [list(read_job(tmp_path / name).rows) for name in ("a.csv", "b.jsonl", "c.yaml")]
    assert rows[0] == rows[1] == rows[2]


SCHEMA = Draft202012Validator(job_schema())

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
    "prompt,seed\n,1\n": "row 1 (line 2): give either 'prompt' or 'template'",
    "prompt,seed\na, mug,1\n": "row 1 (line 2) has 3 cells and the header 2 columns",
    "prompt,seed\na mug\n": "row 1 (line 2) has 1 cells",
    "prompt\n\"a mug\n": "not valid CSV",
    "name,prompt\n../escape,a mug\n": "row 1 (line 2), column 'name': '../escape' cannot name a file",
    "name,prompt\n/etc/passwd,a mug\n": "cannot name a file",
    "name,prompt\n.hidden,a mug\n": "cannot name a file",
    "name,prompt\na\\b,a mug\n": "cannot name a file",
    "name,prompt\nMug,one\nmug,two\n": "row 2 (line 3), column 'name': 'mug' is already the name of an",
    "name,prompt,count\na,one,2\na-02,two,\n": "row 2 (line 3), column 'name': 'a-02' is already the name",
    "prompt,subject\na mug,../mira\n": "'../mira': not a subject's name",
    "prompt\na\0mug\n": "line 2 holds a NUL",
    "name,prompt\ncon,a mug\n": "'con' cannot name a file",
    "name,prompt\na{seed,a mug\n": "braces do not match",
    "name,prompt\n{shape},a mug\n": "{shape} has no value",
    "template,product\n{product} on {surface},mug\n": "{surface} has no value in this row",
    "template,product\n{product},\n": "{product} has no value in this row",
    "template,x\n{x.__class__},1\n": "is not a column's name",
    "template,prompt,x\n{x},a,1\n": "give either 'prompt' or 'template'",
    "prompt,seeds\na,1-3;x\n": "'x' is neither a seed nor a range",
    "prompt,seeds\na,9-3\n": "lowest first",
    "prompt,seeds\na,1;1\n": "names one seed twice",
    "prompt,seeds,seed\na,1,2\n": "give either 'seeds' or 'seed'",
    "prompt,size,width\na,8x8,8\n": "give either 'size' or 'width'",
    "prompt,size\na,8 by 8\n": "column 'size'",
    "prompt,background,format\na,transparent,jpeg\n": "a jpeg cannot be transparent",
    "prompt,background\na,reddish\n": "column 'background'",
    "prompt,strength\na,0.5\n": "'strength' needs a 'start' image",
    "sep=;\n;;\n": "job file has no header",
    "\n\nprompt;seed\na;x\n": "row 1 (line 4), column 'seed': 'x'",
    "\nsep=;\nprompt;seed\na;\"\n": "line 4 is not valid CSV",
    "prompt;seed\na; b;1\n": "row 1 (line 2) has 3 cells and the header 2 columns; put cells that hold a ';'",
    "prompt\tseed\na\tb\t1\n": "put cells that hold a tab in double quotes",
    "prompt,seed,,\na,1,,x\n": "row 1 (line 2) has 4 cells and the header 2 columns",
    "prompt,seed,\na,1,,,\n": "row 1 (line 2) has 5 cells",
    "prompt,,,seed\na,,,1\n": "column '': name it",
    "name,template,it\n{it},{it},кружка\n": "{it}: 'кружка' has nothing that can stand in a file name",
    "name,template,it\n{it},{it},杯子\n": "use {row} or {index} instead",
    "name,prompt,width\n{width},a,64\n": "'name' cannot hold {width}; it takes {row}, {index}, {seed}",
    "template,seed\na mug {seed},3\n": "'template' cannot hold {seed}: it is one text for all images",
    "prompt,subject\na,a;b;c;d\n": "row 1 (line 2), column 'subject': ('a', 'b', 'c', 'd'): more than the 3",
    "prompt,subject\na,mira;mug;mira\n": "row 1 (line 2): 'subject' names one subject twice",
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
    '{"prompt": "a", "prompt": "b"}': "a key is there twice",
    '{"template": "{x}", "x": true}': "a template is filled with text or numbers",
    "[1]": "row 1 (line 1) is not a JSON object",
    '{"prompt": "a"}\n{"prompt": "b", "sed": 1}': "row 2 (line 2): unknown column 'sed'",
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
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_job(tmp_path / "folder.csv")


def test_many_rows_are_read_in_order_and_one_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("prompt,seed\n" + "".join(f"mug {i},{i}\n" for i in range(3000)))
    job = read_job(file)
    rows = iter(job.rows)
    assert next(rows).seed == 0
    assert [row.seed for row in rows] == list(range(1, 3000))
    assert list(job.rows)[-1].name == "row-3000"
    file.write_text("prompt\nother\n")
    with pytest.raises(InputError, match="changed while it was read"):
        list(job.rows)


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_the_memory_of_a_few(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text("template,thing,seed\n" + "".join(f"a {{thing}},mug {i},{i}\n" for i in range(100_000)))
    start = time.perf_counter()
    tracemalloc.start()
    count = sum(1 for _ in plan(read_job(file), lambda name: pytest.fail(name)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 64 * 2**20, "names are kept to find duplicates, rows are not"
    assert time.perf_counter() - start < 300


def test_templates_names_and_seeds_are_filled_from_columns(tmp_path: Path) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "name,template,product,surface,seeds,size,aspect,_note\n"
        "{product}-{seed},{product} on {surface},Red Mug/XL,oak {{sic}},4;7-8,64x32,,for Ada\n"
        "{row}-{index},a mug,,,1-2,,16:9,\n"
    )
    planned = list(plan(read_job(file), lambda name: pytest.fail(name)))
    assert [image.name for image in planned] == [
        "Red-Mug-XL-4",
        "Red-Mug-XL-7",
        "Red-Mug-XL-8",
        "0002-01",
        "0002-02",
    ]
    first = planned[0].shot
    assert (first.prompt, first.seed, first.width, first.height) == ("Red Mug/XL on oak {{sic}}", 4, 64, 32)
    assert planned[4].shot.aspect == (16, 9)


BAD_YAML = {
    "- prompt: a\n  prompt: b\n": "row 1 (line 1) has a key twice",
    "rows:\n- prompt: a\nextra: 1\n": "give a list of rows",
    "- prompt: [a\n": "is not valid YAML",
    "prompt: a\n": "give a list of rows",
    "- a mug\n": "row 1 (line 1) is not",
    "- prompt: a\n- prompt: b\n  seed: seven\n": "row 2 (line 2), column 'seed': 'seven'",
    "- !!python/object/apply:os.system [id]\n": "is not valid YAML",
    "- prompt: true\n": "column 'prompt'",
    "- prompt: a\n- prompt: b\n  background: #ff0000\n": "row 2 (line 2), column 'background': no value",
    "- {prompt: a, seed}\n": "no value in line 1; quote it if it begins with '#', or write null",
    "defaults:\n  background: #ff0000\nrows:\n- prompt: a\n": "defaults (line 2), column 'background'",
    "- prompt: a\n  seed: !!int abc\n": "row 1 (line 1): a value is not what its tag",
    "- prompt: a\n  layers: !!bool maybe\n": "row 1 (line 1): a value is not what its tag",
    "- prompt: a\n  day: !!timestamp today\n": "row 1 (line 1): a value is not what its tag",
    "- prompt: a\n  seed: !!int ''\n": "row 1 (line 1): a value is not what its tag",
    "- prompt: é\n- prompt: a\x0bmug\n": r"line 2 holds '\x0b' (",
    "- prompt: a\x7fmug\n": "characters are not allowed); take it out",
}


@pytest.mark.parametrize("text", BAD_YAML, ids=lambda text: text[:20])
def test_a_bad_yaml_is_one_clear_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_job(tmp_path / "jobs.yaml")
    assert BAD_YAML[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_keeps_what_looks_like_a_number_or_a_date_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "jobs.yaml").write_text(
        "- template: at {at} on {day} for {price}, {code}\n"
        "  at: 12:30\n"
        "  day: 2026-02-30\n"
        "  price: 1.50\n"
        "  code: 0x1F\n"
        "  aspect: 16:9\n"
        "  seed: 010\n"
        "  steps: 4\n"
        "  width: ~\n"
        "  background: null\n"
    )
    (row,) = read_job(tmp_path / "jobs.yaml").rows
    assert row.text == "at 12:30 on 2026-02-30 for 1.50, 0x1F"
    assert (row.aspect, row.seed, row.steps, row.width, row.background) == ("16:9", 10, 4, None, None)


@pytest.mark.parametrize(
    "text",
    [
        'name;prompt;subject;seeds\na;a mug, red;"mira;mug";"1-2;5"\n',
        "name\tprompt\tsubject\tseeds\na\ta mug, red\tmira;mug\t1-2;5\n",
        'sep=;\r\nname;prompt;subject;seeds\r\na;a mug, red;"mira;mug";"1-2;5"\r\n',
        'sep=,\nname,prompt,subject,seeds\na,"a mug, red",mira;mug,1-2;5\n',
        '\n,,,\n  \nname,prompt,subject,seeds\na,"a mug, red",mira;mug,1-2;5\n',
        'name,prompt,subject,seeds,,\na,"a mug, red",mira;mug,1-2;5,,\n,,,,,\n',
        'name,prompt,subject,seeds,,\na,"a mug, red",mira;mug,1-2;5\n',
    ],
    ids=["semicolons", "tabs", "sep=;", "sep=,", "blank lines", "empty columns", "empty columns, short row"],
)
def test_a_csv_is_read_as_spreadsheets_write_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_bytes(text.encode("utf-8-sig"))
    (row,) = read_job(tmp_path / "jobs.csv").rows
    assert row == JobRow(name="a", prompt="a mug, red", subject=("mira", "mug"), seeds=(1, 2, 5))


def test_a_row_names_as_many_subjects_as_a_shot_takes() -> None:
    taken = Shot.model_json_schema()["properties"]["subjects"]["maxItems"]
    assert job_schema()["properties"]["subject"]["anyOf"][0]["maxItems"] == MAX_SUBJECTS == taken


SKIPPED = {
    "jobs.csv": (
        "name,prompt,template,product,seed,count\n"
        "mug,a mug,,,1,2\n"
        "hero shot,a mug,,,2,\n"
        "MUG-02,a cup,,,3,\n"
        "x,a mug, red,,,4,\n"
        "empty,,a {product},,5,\n"
        "full,,a {product},jug,6,\n"
    ),
    "jobs.jsonl": (
        '{"name": "mug", "prompt": "a mug", "count": 2}\n'
        '{"name": "hero shot", "prompt": "a mug"}\n'
        '{"name": "MUG-02", "prompt": "a cup"}\n'
        '{"prompt": "a mug"\n'
        "[1]\n"
        '{"name": "full", "template": "a {product}", "product": "jug"}\n'
    ),
    "jobs.yaml": (
        "defaults: {prompt: a mug}\n"
        "rows:\n"
        "- {name: mug, count: 2}\n"
        "- {name: hero shot}\n"
        "- {name: MUG-02, prompt: a cup}\n"
        "- {name: é, seed: !!int x}\n"
        "- {name: x, background: }\n"
        '- {name: full, template: "a {product}", product: jug}\n'
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_rows_bad_by_name_by_template_or_in_themselves_are_left_out_like_others(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(SKIPPED[name], encoding="utf-8")
    with pytest.raises(InputError, match="hero shot"):
        read_job(tmp_path / name)
    job = read_job(tmp_path / name, skip_bad=True)
    assert [row.name for row in job.rows] == ["mug", "full"]
    assert [image.name for image in plan(job, lambda name: pytest.fail(name))] == ["mug-01", "mug-02", "full"]
    assert [bad.where.split(" (")[0] for bad in job.bad] == ["row 2", "row 3", "row 4", "row 5"]
    hero, taken, whole, _ = job.bad
    assert hero.problem.startswith("column 'name': 'hero shot' cannot name a file")
    assert "'MUG-02' is already the name of an image of row 1" in taken.problem
    assert [bad.fields["name"] for bad in (hero, taken)] == ["row-0002", "row-0003"], (
        "fed back as they stand, they replace no image of another row"
    )
    assert whole.fields == {"name": "row-0004", "_as_written": whole.fields["_as_written"]}, (
        "no column is guessed of a row that cannot be told apart"
    )
    assert whole.fields["_as_written"] in SKIPPED[name]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a mug,,,9000x9000,,", "a side of 9000 pixels; the longest there is has 8192"),
        (",a {it},%s,,," % ("x" * 2000), "the template becomes 2002 characters; 2000 at most"),
        ("a mug,,,,nothere.png,", "column 'start': 'nothere.png' is not there"),
    ],
)
def test_what_only_a_shot_would_refuse_is_found_and_left_out_before(
    row: str, problem: str, tmp_path: Path
) -> None:
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"prompt,template,it,size,start,strength\na mug,,,,,\n{row}\n,a {{it}},cup,,,\n")
    job = read_job(jobs, skip_bad=True)
    assert [planned.shot.prompt for planned in plan(job, lambda name: pytest.fail(name))] == [
        "a mug",
        "a cup",
    ]
    assert [bad.problem for bad in job.bad] == [problem]
    with pytest.raises(InputError, match="row 2"):
        list(plan(read_job(jobs), lambda name: pytest.fail(name)))


def test_a_name_that_is_a_word_of_anothers_phrase_stays_that_word(mira: Subject) -> None:
    woman = mira.model_copy(update={"phrase": "a woman with a red bag"})
    bag = mira.model_copy(update={"name": "bag", "phrase": "a green leather bag"})
    assert Shot("Mira with bag", [woman, bag]).text == "a woman with a red bag with a green leather bag"
    assert Shot("mira at sea", [woman, bag]).text == "a green leather bag, a woman with a red bag at sea"
    assert Shot("at sea", [woman, bag]).text == "a green leather bag, a woman with a red bag, at sea"


def test_a_column_that_only_a_skipped_row_may_name_is_no_mistake_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("prompt,template,it\na mug,,\n,a {it}, red,jug\n")
    job = read_job(tmp_path / "jobs.csv", skip_bad=True)
    assert ([row.prompt for row in job.rows], len(job.bad)) == (["a mug"], 1)


def test_rows_of_subjects_that_there_are_not_are_left_out_where_bad_rows_are(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("prompt,subject\na mug,mug-01\nat sea,mira\nboth,mira;mug-1\nalone,\n")
    job = read_job(path, skip_bad=True, subjects=("mira", "mug-1"))
    assert [row.prompt for row in job.rows] == ["at sea", "both", "alone"]
    (bad,) = job.bad
    assert bad.problem == "column 'subject': there is no subject 'mug-01'; did you mean 'mug-1'?"
    assert job.subjects == ("mira", "mug-1")
    assert len(list(read_job(path, subjects=("mira",)).rows)) == 4, "who draws them says what is missing"


def test_a_skipped_row_of_any_text_is_listed_and_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text('{"prompt": "a"}\n{"prompt": "\\ud800 é", "seed": 3}\n')
    job = read_job(tmp_path / "jobs.jsonl", skip_bad=True)
    nothing: Any = SimpleNamespace(each=lambda _: iter(()))
    path = write_errors(nothing, tmp_path, job, job.bad)
    assert path is not None
    record = json.loads(path.read_text(encoding="utf-8"))
    assert (record["prompt"], record["seed"]) == ("\ud800 é", 3)


def test_rows_are_frozen_and_closed() -> None:
    row = JobRow(name="a", prompt="a mug")
    with pytest.raises(ValidationError):
        row.prompt = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        JobRow.model_validate({"name": "a", "prompt": "a", "colour": "red"})
    with pytest.raises(InputError, match="has no rows"):
        list(plan(Job(source="empty", rows=()), lambda name: pytest.fail(name)))


def test_names_that_meet_only_after_counting_are_found_in_a_job_made_in_memory() -> None:
    rows = (JobRow(name="a", prompt="x", count=2), JobRow(name="A-01", prompt="y"))
    with pytest.raises(InputError, match="'A-01' is already the name of an image of row 1"):
        list(plan(Job(source="memory", rows=rows), lambda name: pytest.fail(name)))


def test_the_published_schema_is_that_of_the_rows() -> None:
    assert published() == as_text(job_schema()), "write it anew with castmark.jobs.schema"
    Draft202012Validator.check_schema(job_schema())


TEXTS = (
    "",
    "a",
    "mira",
    "mira;ben",
    "1-3",
    "3-1",
    "64x32",
    "16:9",
    "transparent",
    "#ff0000",
    "jpeg",
    "{x}",
    "{",
)
VALUES = st.one_of(
    st.integers(-2, 20),
    st.booleans(),
    st.floats(0, 2),
    st.sampled_from(TEXTS),
    st.lists(st.integers(0, 3), max_size=3),
    st.lists(st.sampled_from(["mira", "Ben"]), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*COLUMNS, "x", "_note", "Bad!"]), VALUES, max_size=5), st.booleans())
def test_what_the_schema_forbids_the_parser_forbids_and_what_it_allows_is_a_row(
    fields: dict[str, object], prompted: bool
) -> None:
    """The schema cannot say all: braces, ranges in order, seeds twice, columns that no template names."""
    if prompted:
        fields["prompt"] = "a mug"
    try:
        JobRow.model_validate(dict(fields))
        error = ""
    except ValidationError as problem:
        error = str(problem)
    if SCHEMA.is_valid(fields):
        beyond = ("braces", "lowest first", "twice", "no template names", "not a column's name")
        assert not error or any(text in error for text in beyond)
    elif not error:
        lax = [name for name, value in fields.items() if not isinstance(value, str | list)]
        assert lax, "the parser is laxer only about numbers, which CSV cannot tell from text"
