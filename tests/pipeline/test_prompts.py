from pathlib import Path

import pytest

from pipeline.prompts.library import Library, PromptError, parse

HEAD = '+++\npurpose = "p"\nplaceholders = ["question"]\n+++\n'


def write(folder: Path, text: str, name: str = "answer", version: int = 1) -> Path:
    path = folder / name / f"v{version}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_shipped_prompts_are_released_and_unchanged() -> None:
    library = Library()
    for label in library.released():
        assert library.get(label).label == label
    assert {"answer@v1", "condense@v1"} <= library.released().keys()


def test_braces_in_values_are_not_filled_again(tmp_path: Path) -> None:
    version = parse(write(tmp_path, HEAD + "# system\nBe {brief} {{question}}\n# user\n{{question}}"))
    assert version.fill(question="{{question}} {x} %s")[1] == "{{question}} {x} %s"
    assert version.fill(question="q")[0] == "Be {brief} q"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no head", "needs a"),
        ("+++\nnot toml\n+++\n# system\ns\n# user\nu", "TOML head is broken"),
        (HEAD + "# system\ns\n# user\nnothing used", "declared and used differ: question"),
        (HEAD + "# system\n{{other}}\n# user\n{{question}}", "declared and used differ: other"),
    ],
)
def test_a_broken_prompt_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        parse(write(tmp_path, text))


def test_a_released_prompt_may_not_change(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "# system\ns\n# user\n{{question}}")
    (tmp_path / "released.toml").write_text(f'"answer@v1" = "{parse(path).fingerprint}"\n')
    library = Library(tmp_path)
    library.get("answer@v1")
    path.write_text(path.read_text() + " changed")
    with pytest.raises(PromptError, match="was released as .* new version"):
        library.get("answer@v1")


def test_an_unknown_prompt_names_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "# system\ns\n# user\n{{question}}")
    for label in ("answer@v9", "../answer@v1", "answer", "other@v1"):
        with pytest.raises(PromptError, match="known: answer@v1"):
            Library(tmp_path).get(label)


def test_new_copies_into_the_next_version(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "# system\ns\n# user\n{{question}}", version=3)
    library = Library(tmp_path)
    copy = library.new("answer", parse(path))
    assert copy.name == "v4.md"
    assert copy.read_text() == path.read_text()
