import json
from pathlib import Path

import pytest

from shared.command.config import parse
from shared.command.options import AppOptions
from shared.errors import UserError
from shared.pages.app import bars, heading, require_gradio


def test_bars_are_as_long_as_their_values_and_names_are_escaped() -> None:
    drawn = bars([("<unk>", 0.25), ("far", -0.5)])
    assert '&lt;unk&gt;</th><td class="bar"><i style="width:25.0%"></i></td><td>0.250<' in drawn
    assert 'far</th><td class="bar"><i style="width:0.0%"></i></td><td>-0.500<' in drawn
    assert "<td>99.9 %</td>" in bars([("a", 0.999)], as_percent=True)


def test_page_says_what_its_run_is(tmp_path: Path) -> None:
    assert heading("toy", tmp_path / "vectors.txt")[0] == "toy: vectors.txt"
    data = {"name": "sample", "is_sample": True}
    (tmp_path / "summary.json").write_text(json.dumps({"recipe": None, "data": data}))
    title, subtitle = heading("toy", tmp_path)
    assert title == "toy: own settings"
    assert subtitle == f"Trained on sample (made up). Run: {tmp_path}"


def test_gradio_that_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.extras.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r'The app needs gradio, not installed\. Run: pip install "'
    ):
        require_gradio("dltasks-nowhere")


@pytest.mark.parametrize("port", ["0", "70000"])
def test_port_is_one(port: str) -> None:
    with pytest.raises(UserError, match=f"--port is {port}, expected 1 to 65535"):
        parse("toy app", "", [AppOptions], ["run", "--port", port])


def test_browser_may_stay_closed() -> None:
    (options,) = parse("toy app", "", [AppOptions], ["run", "--no-browser"])
    assert options == AppOptions("run", None, browser=False)
