from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest

from shared.command.fields import OnlyWith
from shared.command.options import RunOptions
from shared.errors import UserError
from shared.files import sha256_of, whole_file, whole_folder, write_json
from shared.runs.checkpoints import Checkpoints
from shared.runs.metrics_log import MetricsLog
from shared.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a made-up run."""

    epochs: int = 3
    """Passes over the data."""


@dataclass(frozen=True)
class WithInit(DemoConfig):
    """Settings of a run that may start from another's weights."""

    ONLY_WITH: ClassVar[OnlyWith] = {"init": {"model": ("network",)}}

    init: str | None = None
    """Run to start from."""
    model: str = "network"
    """Model."""


def start(path: Path, config: DemoConfig | None = None, *, resume: bool = False) -> RunDirectory:
    return RunDirectory.start(
        "demo", config or DemoConfig(), out=str(path), resume=resume, quiet=True
    )


def test_new_run_holds_its_settings_and_environment(tmp_path: Path) -> None:
    with start(tmp_path / "run") as run:
        run.say("hello")
    assert (run.path / "config.yaml").read_text() == "epochs: 3\n"
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"]["numpy"]
    assert (run.path / "log.txt").read_text() == "hello\n"
    assert not run.is_resumed


def test_filled_folder_is_refused_unless_resumed(tmp_path: Path) -> None:
    start(tmp_path / "run").close()
    with pytest.raises(UserError, match="is not empty.*--resume"):
        start(tmp_path / "run")
    with start(tmp_path / "run", resume=True) as run:
        assert run.is_resumed


def test_folder_that_is_no_run_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    for resume in (False, True):
        with pytest.raises(UserError, match="another --out"):
            start(tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_resume_with_other_settings_names_old_and_new(tmp_path: Path) -> None:
    start(tmp_path / "run").close()
    with pytest.raises(UserError, match="--epochs: 3 -> 5"):
        start(tmp_path / "run", replace(DemoConfig(), epochs=5), resume=True)


@pytest.mark.parametrize("model", ["network", "linear"])
def test_ended_run_with_other_settings_says_how_to_go_on_from_its_weights_if_it_can(
    tmp_path: Path, model: str
) -> None:
    with start(tmp_path / "run", WithInit(model=model)) as run:
        run.write_summary({})
    with pytest.raises(UserError, match="--epochs: 3 -> 5") as error:
        start(tmp_path / "run", WithInit(epochs=5, model=model), resume=True)
    from_weights = re.search("--config .*config.yaml --init .*run", str(error.value))
    assert bool(from_weights) is (model == "network")


def test_run_that_is_refused_before_it_begins_leaves_its_folder_free(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no"), start(tmp_path / "run") as run:
        run.say("starts")
        raise UserError("no")
    with start(tmp_path / "run", DemoConfig(epochs=5)) as run:  # the mended command
        run.metrics.add(1, loss=0.5)
    assert (tmp_path / "run" / "config.yaml").read_text() == "epochs: 5\n"
    with pytest.raises(UserError), start(tmp_path / "run", DemoConfig(epochs=5), resume=True):
        raise UserError("later")
    assert (tmp_path / "run" / "metrics.jsonl").exists()
    for error in (KeyboardInterrupt, ValueError):  # which are no refusal
        with pytest.raises(error), start(tmp_path / error.__name__):
            raise error
        assert (tmp_path / error.__name__ / "config.yaml").exists()


def test_two_runs_cannot_write_into_one_folder(tmp_path: Path) -> None:
    with (
        start(tmp_path / "run"),
        pytest.raises(UserError, match="another run is writing"),
    ):
        start(tmp_path / "run", resume=True)
    start(tmp_path / "run", resume=True).close()


def test_disk_without_locks_is_named_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fcntl = pytest.importorskip("fcntl", reason="another kind of lock on this system")

    def no_locks(number: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with RunDirectory.start("demo", DemoConfig(), out=str(tmp_path / "run"), resume=False) as run:
        assert (run.path / "config.yaml").is_file()
    printed = capsys.readouterr().out
    assert "cannot be locked on this disk" in printed
    assert "No locks available" in printed


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_run_directory import start\n"
        "from pathlib import Path\n"
        "run = start(Path(sys.argv[1]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run"), here], check=False)
    with start(tmp_path / "run", resume=True) as run:
        assert run.is_resumed


def test_reading_something_that_is_no_run_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run.*demo train --out"):
        RunDirectory.read(tmp_path, task="demo")
    start(tmp_path / "a run").close()
    run = RunDirectory.read(tmp_path / "a run", task="demo")
    # As the shell takes it: the command, and a path with a space.
    with pytest.raises(
        UserError, match=r"did not end.*`demo train --out ['\"].*a run['\"] --resume`"
    ):
        run.summary()
    for damaged in ("{", "[]", "null", "NaN", "{}", "[" * 100_000):
        (run.path / "summary.json").write_text(damaged)
        with pytest.raises(UserError, match="is not JSON of a run"):
            run.summary()


def test_what_is_read_is_the_best_checkpoint_or_the_run_says_that_there_is_none(
    tmp_path: Path,
) -> None:
    with start(tmp_path / "run") as run:
        with pytest.raises(UserError, match="has no checkpoint yet.*--resume"):
            run.chosen()
        for step, metric in ((1, 0.5), (2, 0.6), (3, 0.4)):
            run.checkpoints.save(step, write_number(step), metric=metric)
        assert (run.chosen().step, run.chosen(highest=False).step) == (2, 3)


def test_records_past_the_checkpoint_are_dropped_on_resume(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        log.add(step, loss=1 / step)
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    log.keep_until(2)
    log.add(3, loss=float("nan"))
    assert [record["step"] for record in log.records()] == [1, 2, 3]
    assert log.records()[-1]["loss"] is None


def test_torn_record_before_the_last_is_named(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2: is not a record"):
        log.records()


def write_number(value: int):
    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes([value]) * 100)

    return write


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    lines: list[str] = []
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3, say=lines.append)
    checkpoints.lines = lines  # type: ignore[attr-defined]
    for step, metric in ((5, 0.9), (20, 0.7), (100, 0.8)):
        checkpoints.save(step, write_number(step), metric=metric, position=step * 2)
    return checkpoints


def test_last_and_best_are_found_by_what_is_inside(saved: Checkpoints) -> None:
    (saved.folder / "step-00000100").rename(saved.folder / "aaa")
    last, best, lowest = saved.last(), saved.best(), saved.best(highest=False)
    assert last is not None and (last.step, last.facts) == (100, {"position": 200})
    assert best is not None and best.step == 5
    assert lowest is not None and lowest.step == 20


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no manifest", "other format"])
def test_damaged_checkpoint_is_named_and_the_one_before_used(
    saved: Checkpoints, damage: str
) -> None:
    folder = saved.folder / "step-00000100"
    manifest = folder / "manifest.json"
    if damage == "cut":
        (folder / "weights").write_bytes(b"d" * 99)
    elif damage == "changed":
        (folder / "weights").write_bytes(b"e" * 100)
    elif damage == "missing":
        (folder / "weights").unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99'))
    found = saved.last()
    assert found is not None and found.step == 20
    assert "step-00000100: is damaged" in saved.lines[0]  # type: ignore[attr-defined]


def test_last_checkpoint_stands_in_where_all_with_a_metric_are_damaged(saved: Checkpoints) -> None:
    saved.save(120, write_number(120))  # stopped there, without an evaluation
    for folder in saved.folder.iterdir():
        if folder.name != "step-00000120":
            (folder / "weights").unlink()
    found = saved.best()
    assert found is not None and found.step == 120


def test_files_of_a_checkpoint_may_be_read_by_whoever_may_read_the_folder(
    tmp_path: Path,
) -> None:
    def write(folder: Path) -> None:
        (folder / "weights").touch(mode=0o600)

    folder = Checkpoints(tmp_path).save(1, write).folder
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1


def test_run_that_is_only_read_is_not_written_into_and_leaves_standard_output_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start(tmp_path / "run") as run:
        run.checkpoints.save(1, write_number(1), metric=0.5)
        run.checkpoints.save(2, write_number(2), metric=0.6)
    (run.path / "checkpoints" / "step-00000002" / "weights").unlink()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    found = RunDirectory.read(run.path, task="demo").checkpoints.best()
    assert found is not None and found.step == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "step-00000002: is damaged" in printed.err
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


def test_nothing_but_damage_is_an_error_not_a_new_start(saved: Checkpoints) -> None:
    for folder in saved.folder.iterdir():
        (folder / "weights").unlink()
    with pytest.raises(UserError, match="every checkpoint in it is damaged"):
        saved.last()
    for folder in saved.folder.iterdir():
        (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match="every checkpoint in it is damaged"):
        saved.last()
    assert Checkpoints(saved.folder / "none").last() is None


def test_old_checkpoints_go_and_named_ones_stay(saved: Checkpoints) -> None:
    saved.save(1, write_number(1), name="best")
    saved.save(200, write_number(200))
    names = sorted(path.name for path in saved.folder.iterdir())
    assert names == ["best", "step-00000020", "step-00000100", "step-00000200"]


def damage(checkpoints: Checkpoints, step: int) -> None:
    (checkpoints.folder / f"step-{step:08d}" / "weights").write_bytes(b"x" * 100)


def steps_in(checkpoints: Checkpoints) -> list[int]:
    return sorted(int(path.name[len("step-") :]) for path in checkpoints.folder.glob("step-*"))


def test_new_checkpoint_is_never_the_one_that_is_dropped_and_damaged_ones_go_first(
    tmp_path: Path,
) -> None:
    before = Checkpoints(tmp_path, keep=2)
    for step in (65, 70):
        before.save(step, write_number(step))
        damage(before, step)
    before.save(60, write_number(60), name="best", metric=1.0)
    resumed = Checkpoints(tmp_path, keep=2, say=lambda line: None)
    last = resumed.last()
    assert last is not None
    assert last.step == 60
    resumed.save(62, write_number(62))
    assert 62 in steps_in(resumed)
    resumed.save(63, write_number(63))
    assert steps_in(resumed) == [62, 63]
    resumed.save(64, write_number(64))
    assert steps_in(resumed) == [63, 64]


def test_oldest_checkpoint_goes_first_where_names_get_longer(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (99_999_998, 99_999_999, 100_000_001, 100_000_002):
        checkpoints.save(step, write_number(1))
    assert steps_in(checkpoints) == [100_000_001, 100_000_002]


def test_whole_checkpoint_stays_while_a_damaged_later_one_goes(tmp_path: Path) -> None:
    before = Checkpoints(tmp_path, keep=2)
    for step in (1, 2):
        before.save(step, write_number(step))
    damage(before, 2)
    (tmp_path / "step-00000009").mkdir()  # without a manifest
    resumed = Checkpoints(tmp_path, keep=2)
    resumed.save(3, write_number(3))
    assert steps_in(resumed) == [1, 3]


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "vocab.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), whole_file(target) as file:
        file.write("half")
        raise RuntimeError
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "weights").write_text("old")
    with pytest.raises(RuntimeError), whole_folder(folder) as aside:
        (aside / "weights").write_text("half")
        raise RuntimeError
    assert target.read_text() == (folder / "weights").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "vocab.txt"]


def test_whole_folder_replaces_one_that_is_there(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with whole_folder(tmp_path / "best") as aside:
            (aside / text).write_text(text)
    assert [path.name for path in tmp_path.rglob("*")] == ["best", "new"]


def test_link_stays_a_link_and_what_it_names_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "page.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real" / "page.html")
    with whole_file(tmp_path / "link.html") as file:
        file.write("new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real" / "page.html").read_text() == "new"
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "folder") as aside:
        (aside / "a").touch(mode=0o600)
    assert (tmp_path / "folder").is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["a"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_pipes_and_devices_are_written_to_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(
        *names: object,
    ) -> None:  # so that a fault here does not cost this machine its /dev/null
        raise AssertionError(f"replaced: {names}")

    monkeypatch.setattr(os, "replace", refuse)
    with whole_file(Path(os.devnull), "wb") as file:
        file.write(b"page")
    assert not Path(os.devnull).is_file()
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(
        target=lambda: read.append((tmp_path / "pipe").read_text()), daemon=True
    )
    reader.start()
    with whole_file(tmp_path / "pipe") as file:
        file.write("page")
    reader.join()
    assert read == ["page"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="no such permissions on Windows")
def test_files_of_a_whole_folder_have_the_permissions_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    with whole_folder(tmp_path / "export") as aside:
        (aside / "sub").mkdir(mode=0o700)
        (aside / "sub" / "model.safetensors").touch(mode=0o600)
    mode = (tmp_path / "export" / "sub" / "model.safetensors").stat().st_mode
    assert mode == (tmp_path / "new").stat().st_mode
    assert (tmp_path / "export" / "sub").stat().st_mode == (tmp_path / "export").stat().st_mode


def test_nan_never_reaches_a_json_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "summary.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_run_to_go_on_with_must_be_named() -> None:
    with pytest.raises(UserError, match="--out is not set, expected a run folder with --resume"):
        RunOptions(resume=True)
