from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from shared.command.config import (
    OnlyWith,
    Problems,
    described_fields,
    differences,
    dump,
    flag,
    load,
    parse,
    positional,
)
from shared.command.help import _takes
from shared.errors import UserError


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a made-up verb."""

    ONLY_WITH: ClassVar[OnlyWith] = {
        "negatives": {"objective": ("negative",)},
        "unigram_power": {"objective": ("negative", "nce")},
        "shrink_by": {"shrink": ...},
        "mix": {("shrink", "dropout"): ...},
    }
    COMMON: ClassVar[tuple[str, ...]] = ("shrink",)
    GROUPS: ClassVar[dict[str, tuple[str, ...]]] = {"shape of the model": ("widths", "names")}
    RENAMED: ClassVar[dict[str, str]] = {"step_size": "learning_rate"}
    RESETS: ClassVar[dict[str, str]] = {"epochs": "negatives"}

    recipe: str | None = None
    """Settings by name."""
    learning_rate: float = 0.1
    """Step size of SGD, > 0."""
    objective: Literal["softmax", "negative"] = "softmax"
    """What is trained."""
    data: str | None = None
    """Data folder."""
    epochs: int = 3
    """Passes over the data, >= 1."""
    shrink: bool = False
    """Shrink windows."""
    widths: tuple[int, ...] = (1, 2)
    """Layer widths."""
    names: tuple[str, ...] | None = None
    """Names of layers."""
    negatives: int = 5
    """Negative samples."""
    shrink_by: float = 0.5
    """Factor."""
    unigram_power: float = 0.75
    """Power."""
    dropout: float = 0.0
    """Dropout probability."""
    mix: float = 1.0
    """Probability of a mixture."""

    def __post_init__(self) -> None:
        with Problems() as problem:
            problem(self.learning_rate <= 0, "learning_rate", self.learning_rate, "a number > 0")
            problem(self.epochs < 1, "epochs", self.epochs, ">= 1")


@dataclass(frozen=True)
class DemoOptions:
    """Where it goes."""

    out: str | None = None
    """Run folder."""
    resume: bool = False
    """Go on."""


@dataclass(frozen=True)
class DemoQuery:
    """A verb with things given by place."""

    run: str = positional()
    """Run folder."""
    words: tuple[str, ...] = positional()
    """Words."""
    count: int = 10
    """How many."""


@pytest.fixture
def recipes(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "fast.yaml"
    path.write_text("learning_rate: 6e-4\nepochs: 9\n")
    return {"fast": path}


def demo(words: list[str], recipes: dict[str, Path] | None = None) -> DemoConfig:
    return parse("demo train", "Train.", [DemoConfig, DemoOptions], words, recipes or {})[0]


def test_flags_win_over_file_and_file_over_recipe_whatever_their_order(
    recipes: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 5\nwidths: [7]\n")
    mine = str(tmp_path / "mine.yaml")
    config = demo(["--epochs", "4", "--config", mine, "--recipe", "fast"], recipes)
    assert config == DemoConfig(recipe="fast", learning_rate=6e-4, epochs=4, widths=(7,))
    assert demo(["--config=" + mine, "--recipe=fast"], recipes).epochs == 5


def test_saved_yaml_reads_back_equal_with_every_field_written_out(tmp_path: Path) -> None:
    config = DemoConfig(learning_rate=1e-5, data=None, shrink=True, widths=(3, 4, 5))
    text = dump(config)
    (tmp_path / "config.yaml").write_text(text)
    assert load(DemoConfig, tmp_path / "config.yaml") == config
    assert "data: null" in text  # a later default must not change a saved run


def test_file_of_an_earlier_version_is_read_under_todays_names(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("step_size: 0.5\n")
    assert load(DemoConfig, tmp_path / "old.yaml").learning_rate == 0.5


def test_typed_flag_resets_the_setting_of_a_recipe_that_contradicts_it(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text("objective: negative\nepochs: 9\nnegatives: 70\n")
    words = ["--recipe", "long"]
    assert demo(words, {"long": path}).negatives == 70
    assert demo([*words, "--epochs", "2"], {"long": path}).negatives == 5
    assert demo([*words, "--epochs=2", "--negatives=8"], {"long": path}).negatives == 8


def test_underscores_are_accepted_and_booleans_have_a_no(recipes: dict[str, Path]) -> None:
    assert demo(["--learning_rate", "2", "--shrink"]) == DemoConfig(learning_rate=2.0, shrink=True)
    assert demo(["--shrink", "--no-shrink"]).shrink is False


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--epoch", "3"], "--epoch is not known to `demo train` (did you mean --epochs"),
        (["--epochs", "2.5"], "--epochs is 2.5, expected a whole number."),
        (["--epochs", ""], "--epochs is empty, expected a whole number."),
        (["--objective", "soft"], "--objective is soft, expected one of softmax, negative."),
        (["--learning-rate", "x"], "--learning-rate is x, expected a number."),
        (
            ["--learning-rate", "0", "--epochs", "0"],
            "--learning-rate is 0.0, expected a number > 0; --epochs is 0",
        ),
        (["--recipe", "fsat"], "--recipe fsat does not exist (did you mean fast?)"),
        (["--data"], "--data has no value"),
        (["--widths", "[1, x]"], "--widths is x, expected a list, each a whole number"),
        (["--widths", "1,x"], "--widths is x, expected a list, each a whole number"),
        (["--shrink=false"], "--shrink takes no value. Expected --shrink or --no-shrink."),
        (["--recipe"], "--recipe has no value"),
        (["--config", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_bad_command_lines_are_named_in_one_line(
    words: list[str], expected: str, recipes: dict[str, Path]
) -> None:
    with pytest.raises(UserError) as caught:
        demo(words, recipes)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("epoch: 3", "'epoch' is not a setting (did you mean epochs?)"),
        ("epochs: many", "mine.yaml: --epochs is many, expected a whole number."),
        ("epochs:", "mine.yaml: --epochs is null, expected a whole number."),
        ("widths: null", "mine.yaml: --widths is null, expected a list, each a whole number."),
        ("shrink: null", "--shrink is null, expected"),
        ("shrink: 1", "mine.yaml: --shrink is 1, expected true or false."),
        ("shrink: maybe", "mine.yaml: --shrink is maybe, expected true or false."),
        ("objective: null", "--objective is null, expected one of softmax, negative."),
        ("- 1", "holds a list"),
        ("a: [", "mine.yaml:1: is not YAML"),
        ("epochs: 3\ndata: x\nepochs: 4", "mine.yaml:3: 'epochs' is there twice. Remove one"),
    ],
)
def test_bad_files_are_named_in_one_line(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    for read in (
        lambda: load(DemoConfig, tmp_path / "mine.yaml"),
        lambda: demo(["--config", str(tmp_path / "mine.yaml")]),
    ):
        with pytest.raises(UserError) as caught:
            read()
        assert expected in str(caught.value)


def test_resume_takes_the_saved_settings_as_the_lowest_layer(
    tmp_path: Path, recipes: dict[str, Path]
) -> None:
    (tmp_path / "config.yaml").write_text(dump(DemoConfig(epochs=77)))
    assert demo(["--out", str(tmp_path), "--resume"], recipes).epochs == 77
    assert demo(["--out", str(tmp_path)], recipes).epochs == 3
    assert demo(["--out", str(tmp_path), "--resume", "--recipe", "fast"], recipes).epochs == 9


def test_things_given_by_place_keep_words_that_look_like_numbers() -> None:
    (query,) = parse(
        "demo ask", "Ask.", [DemoQuery], ["runs/a", "1984", "null", "true", "--count", "3"]
    )
    assert query == DemoQuery(run="runs/a", words=("1984", "null", "true"), count=3)


def test_help_is_the_attribute_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo(["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "--learning-rate X Step size of SGD, > 0. (default: 0.1)" in printed
    assert "--objective {softmax,negative} What is trained. (default: softmax)" in printed


def help_of(words: list[str], recipes: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        demo(words, recipes)
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_help_of_a_training_is_short_and_help_all_has_every_option(
    capsys: pytest.CaptureFixture[str], recipes: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    short = help_of(["--help"], recipes, capsys)
    everything = help_of(["--help-all"], recipes, capsys)
    for text in (short, everything):
        assert max(map(len, text.splitlines())) <= 80
        assert "Recipes: fast." in text
        assert "--config FILE" in text
        assert "--out PATH" in text
    assert "--widths" not in short
    assert "--help-all" in short
    assert "--widths N,..." in everything
    for field in dataclasses.fields(DemoConfig):
        assert flag(field.name) in everything
    assert "(default: 9)" in help_of(["--recipe", "fast", "--help"], recipes, capsys)


def test_help_has_the_groups_and_the_common_options_that_a_class_names(
    capsys: pytest.CaptureFixture[str], recipes: dict[str, Path]
) -> None:
    everything = help_of(["--help-all"], recipes, capsys)
    shape = everything.index("\nshape of the model:\n")
    assert (
        everything.index("\nsettings of a made-up verb:\n") < shape < everything.index("--widths")
    )
    short = help_of(["--help"], recipes, capsys)
    assert short.index("--shrink ") < short.index("--recipe")


def test_arguments_are_explained_and_words_after_dashes_are_no_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse("demo ask", "Ask.", [DemoQuery], ["--help"], example="demo ask RUN a")
    printed = capsys.readouterr().out
    assert printed.startswith("usage: demo ask RUN WORDS... [options]\n\nAsk.\n")
    assert "example:\n  demo ask RUN a\n" in printed
    assert "\narguments:\n  RUN " in printed
    assert "\noptions:\n  --count N" in printed
    with pytest.raises(SystemExit):
        parse("demo stop", "Stop.", [], ["--help"])  # a verb without options
    assert "options:" not in capsys.readouterr().out
    (query,) = parse("demo ask", "Ask.", [DemoQuery], ["run", "--", "--help"])
    assert query.words == ("--help",)


@dataclass(frozen=True)
class DemoOptional:
    """A verb whose last arguments may be left out."""

    run: str = positional()
    """Run folder."""
    first: str | None = positional(default=None)
    """First word."""
    others: tuple[str, ...] = positional(default=())
    """Others."""


def test_usage_puts_arguments_that_may_be_left_out_in_brackets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse("demo ask", "Ask.", [DemoOptional], ["--help"])
    assert "usage: demo ask RUN [FIRST] [OTHERS...] [options]\n" in capsys.readouterr().out
    (given,) = parse("demo ask", "Ask.", [DemoOptional], ["r"])
    assert given == DemoOptional("r")


@dataclass(frozen=True)
class DemoShout:
    """A verb that checks its arguments."""

    ONLY_WITH: ClassVar[OnlyWith] = {"loud": {"word": ...}}

    word: str = positional(default="")
    """A word."""
    times: int = positional(default=1)
    """How often."""
    loud: bool = False
    """In capitals."""

    def __post_init__(self) -> None:
        with Problems() as problem:
            problem(self.word.isupper(), "word", self.word, "lower case")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["HEY"], "WORD is HEY, expected lower case."),
        (["hey", "x"], "TIMES is x, expected a whole number."),
        (["--loud"], "--loud has no effect without WORD. Leave it out."),
    ],
)
def test_positional_argument_is_named_as_the_usage_line_has_it(
    words: list[str], message: str
) -> None:
    with pytest.raises(UserError) as refused:
        parse("demo shout", "Shout.", [DemoShout], words)
    assert str(refused.value) == message


def test_print_config_is_a_config_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, recipes: dict[str, Path]
) -> None:
    with pytest.raises(SystemExit):
        demo(["--recipe", "fast", "--print-config"], recipes)
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert load(DemoConfig, tmp_path / "printed.yaml") == DemoConfig(
        recipe="fast", learning_rate=6e-4, epochs=9
    )


def test_field_without_docstring_is_refused() -> None:
    @dataclass(frozen=True)
    class Undocumented:
        """No help for its field."""

        width: int = 1

    with pytest.raises(TypeError, match="width has no attribute docstring"):
        described_fields(Undocumented)


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--negatives", "7"], "--negatives has no effect with --objective softmax, only with --objective negative."),
        (["--negatives=5"], "--negatives has no effect"),  # the default, but asked for
        (["--unigram-power", "1"], "only with --objective negative or nce. Leave it out."),
        (["--shrink-by", "0.1"], "--shrink-by has no effect without --shrink. Leave it out."),
        (["--shrink-by", "0.1", "--no-shrink"], "--shrink-by has no effect without --shrink."),
        (["--mix", "0.1", "--dropout", "0"], "--mix has no effect without --shrink or --dropout. Leave"),
    ],
)  # fmt: skip
def test_flag_that_has_no_effect_is_refused(words: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        demo(words)
    assert expected in str(caught.value)


def test_flag_is_taken_where_it_has_an_effect_and_a_file_may_hold_all_settings(
    tmp_path: Path,
) -> None:
    assert demo(["--negatives", "7", "--objective", "negative"]).negatives == 7
    assert demo(["--shrink-by", "0.1", "--shrink"]).shrink_by == 0.1
    for other in (["--shrink"], ["--dropout", "0.1"]):
        assert demo(["--mix", "0.1", *other]).mix == 0.1
    (tmp_path / "saved.yaml").write_text(dump(DemoConfig(negatives=9)))
    assert demo(["--config", str(tmp_path / "saved.yaml")]).negatives == 9


@pytest.mark.parametrize("value", ["1,2,4", "[1,2,4]", "1, 2, 4"])
def test_list_is_written_with_or_without_brackets(value: str) -> None:
    assert demo(["--widths", value]).widths == demo([f"--widths={value}"]).widths == (1, 2, 4)
    assert demo(["--widths", "8"]).widths == (8,)
    assert demo(["--names", "a,b"]).names == ("a", "b")
    assert demo(["--names", "yes, no,1e3"]).names == ("yes", "no", "1e3")
    assert demo(["--names=0,1,null"]).names == ("0", "1", "null")
    assert demo(["--names", "'yes',b"]).names == ("yes", "b")
    assert demo(["--names", "null"]).names is None


def test_differences_name_the_flag_and_both_values() -> None:
    changed = differences(DemoConfig(), DemoConfig(epochs=5, data="x"), allowed=["data"])
    assert changed == ["--epochs: 3 -> 5"]


def test_options_that_take_a_file_a_folder_or_a_run_say_so() -> None:
    names = ("file", "synonyms", "cache", "run", "checkpoint", "data", "prompt")
    words = ["FILE", "FILE", "FOLDER", "RUN", "NAME", "PATH", "TEXT"]
    assert [_takes(name, str | None) for name in names] == words
