"""The page of `app`: what its functions answer, without a server. tests/app looks at all pages in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_tiny import load
from resnet_tiny.commands.app import classified, page_of
from shared.errors import UserError


def test_answers_are_those_of_the_model(small_run: Path, sample_folder: Path) -> None:
    model = load(small_run)
    image = sorted(sample_folder.glob("val/images/*"))[0]
    rows = classified(model, str(image)).split("<tr>")[1:]
    for row, (name, probability) in zip(rows, model.predict(image).top(5), strict=True):
        assert f">{name}</th>" in row and f">{100 * probability:.1f} %<" in row


def test_no_image_and_no_image_file_are_the_users(small_run: Path, tmp_path: Path) -> None:
    model = load(small_run)
    with pytest.raises(UserError, match="There is no image"):
        classified(model, None)
    file = tmp_path / "notes.png"
    file.write_text("not an image")
    with pytest.raises(UserError, match=r"notes\.png: is not an image"):
        classified(model, str(file))


def test_page_offers_the_images_of_the_runs_page(small_run: Path, tmp_path: Path) -> None:
    gradio = pytest.importorskip("gradio", reason="the extra `app` is not installed")
    page = page_of(load(small_run), tmp_path)
    examples = sorted(tmp_path.glob("*.png"))
    assert 1 <= len(examples) <= 6
    (answer,) = (f.fn for f in page.fns.values() if f.api_name == "classify")
    assert answer(str(examples[0])) == classified(load(small_run), str(examples[0]))
    with pytest.raises(gradio.Error, match="There is no image"):
        answer(None)
