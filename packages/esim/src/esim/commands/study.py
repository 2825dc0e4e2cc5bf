"""The verb `study`: the coursework's tables in one command, as accuracy by epoch and as an ablation.

The first part trains once, keeps the weights of every epoch, and measures each on dev and test. Dev chooses the epoch;
test is only reported, and the table shows what choosing on it would have claimed. The second part is `esim ablate`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from esim.commands.ablate import ablate, add_ablation, table_lines
from esim.commands.options import StudyOptions
from esim.config import TrainConfig
from esim.data.dataset import load_data
from esim.measure import accuracy, score_pairs, scoring_batch
from esim.model.trained import current_names, load_run
from esim.train import train
from shared.command.options import RunOptions
from shared.files import write_json
from shared.pages.report import Report, percent
from shared.runs.run_directory import RunDirectory
from shared.text.batching import bucketed_batches


def run(config: TrainConfig, options: StudyOptions) -> int:
    """Train, measure every epoch, train the variants, and write one page."""
    out = Path(options.out or "runs/esim/study")
    quiet = options.quiet or options.json
    epochs = by_epoch(config, out / "epochs", quiet=quiet)
    # The first part's run is the variant from which nothing is left out, unless that ends earlier.
    is_whole = config.steps is None and config.minutes is None
    trained = {("full", config.seed): out / "epochs"} if is_whole else {}
    seeds = options.seeds_of(config)
    variants = ablate(config, out, options.without, seeds, quiet=quiet, trained=trained)
    result = {"epochs": epochs, "variants": variants, "seeds": list(seeds)}
    write_json(out / "study.json", result)
    page = write_page(out / "study.html", result)
    if options.json:
        print(json.dumps(result))
        return 0
    print("epoch  train     dev       test")
    for row in epochs:
        cells = "  ".join(f"{percent(row.get(name)) or '-':>8}" for name in SPLITS)
        print(f"{row['epoch']:>5}  {cells}{'  <- chosen on dev' if row['is_best'] else ''}")
    print("\n".join(table_lines(variants)))
    print(f"The page is {page}.")
    return 0


SPLITS = {"train_accuracy": "train", "valid_accuracy": "dev", "test_accuracy": "test"}


def by_epoch(config: TrainConfig, path: Path, *, quiet: bool) -> list[dict[str, Any]]:
    """Train with the weights of every epoch kept; return the accuracies after each.

    Returns
    -------
    list of dict
        epoch, train_accuracy (the epoch's mean, with dropout), valid_accuracy, test_accuracy where there is a test
        file, and is_best: the epoch that dev chooses.
    """
    epochs = tuple(range(1, config.epochs + 1))
    data = load_data(config)
    # A line of the log for each epoch, so that its mean is of that epoch alone.
    batches = bucketed_batches(
        data.splits["train"].lengths, batch_size=config.batch_size, pool=config.pool
    )
    config = replace(
        config,
        checkpoint_epochs=epochs,
        steps=None,
        minutes=None,
        log_every=max(1, len(batches) // config.accumulation),
    )
    train(config, RunOptions(out=str(path), resume=True, quiet=quiet))
    run = RunDirectory.read(path, task="esim")
    records = [current_names(record) for record in run.metrics.records()]
    rows = []
    for epoch in epochs:
        if run.checkpoints.named(f"epoch-{epoch:04d}") is None:  # stopped early
            break
        trained = load_run(path, checkpoint=f"epoch-{epoch:04d}")
        row: dict[str, Any] = {"epoch": epoch}
        seen = [r for r in records if r["epoch"] == epoch and "train_accuracy" in r]
        row["train_accuracy"] = seen[-1]["train_accuracy"] if seen else None
        for key, split in (("valid_accuracy", "dev"), ("test_accuracy", "test")):
            if split in data.splits:
                pairs = data.splits[split]
                scores = score_pairs(trained.model, pairs, batch_size=scoring_batch(config))
                row[key] = accuracy(scores, pairs.labels)
        rows.append(row)
    best = max(range(len(rows)), key=lambda number: rows[number]["valid_accuracy"])
    return [row | {"is_best": number == best} for number, row in enumerate(rows)]


def write_page(path: Path, result: dict[str, Any]) -> Path:
    """Write tables and plots of both parts as a page."""
    page = Report("esim: study", "accuracy by epoch, and an ablation")
    rows = result["epochs"]
    measured = {key: [row for row in rows if row.get(key) is not None] for key in SPLITS}
    shown = {key: name for key, name in SPLITS.items() if measured[key]}
    page.heading("Accuracy by epoch")
    page.text(
        "Dev chooses the epoch; test is reported. Train is the epoch's mean, measured with dropout."
    )
    page.table(
        ["epoch", *shown.values(), ""],
        [
            [
                f"{row['epoch']}",
                *(percent(row.get(key)) for key in shown),
                "chosen on dev" if row["is_best"] else "",
            ]
            for row in rows
        ],
    )
    curves = {
        name: ([row["epoch"] for row in measured[key]], [100 * row[key] for row in measured[key]])
        for key, name in shown.items()
    }
    page.lines("Accuracy", "epoch", "accuracy, %", curves, png=path.parent / "epochs.png")
    page.heading("Ablation")
    add_ablation(page, result["variants"], len(result["seeds"]))
    return page.save(path)
