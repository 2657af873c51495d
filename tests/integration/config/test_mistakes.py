"""What is said of each mistake that users make in recipes and fleets: no pattern, no silence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

from bakehouse.config.project import all_mistakes
from bakehouse.recipe.mistakes import as_text

TABLE = (Path(__file__).parent / "mistakes.txt").read_text()
"""`## the mistake`, `# the file`, its content, `--`, and what is said of it."""
MISTAKES = {
    name: (file, text, said.strip())
    for name, _, rest in (part.partition("\n") for part in TABLE.removeprefix("## ").split("\n## "))
    for content, _, said in [rest.partition("\n--\n")]
    for file, _, text in [content.removeprefix("# ").partition("\n")]
}


@pytest.mark.parametrize(("path", "text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_line_value_and_remedy(
    tmp_path: Path, path: str, text: str, said: str
) -> None:
    include = Path(shutil.copytree(PROJECT / "include", tmp_path / "include"))
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{text}\n" if text else "")
    assert as_text(all_mistakes(include)) == said


def test_no_message_has_a_pattern_or_the_sentence_for_all_forms() -> None:
    said = "\n".join(one for _, _, one in MISTAKES.values())
    assert "the form that is expected" not in said
    assert re.search(r"\^|\[a-z|\\d|pattern|Input should|type=", said) is None
