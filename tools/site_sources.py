"""`make docs`: gather the documents of the repository into the pages of a site, which MkDocs then builds.

    python tools/site_sources.py OUT

Every README and document becomes a page; links between them lead from page to page, and links to code become its name.
Reference pages list what each package exports; mkdocstrings fills them in. Uses the standard library only.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TASKS = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
HOW_TO = (
    "own-data",
    "teaching",
    "several-gpus",
    "what-grows",
    "from-the-assignments",
    "from-torchtext",
)
SHARED = {
    "Text": ("tokenizers", "vocabulary", "vectors", "batching"),
    "Data": ("tables", "samples", "fetch", "archives"),
    "Runs": ("run_directory", "checkpoints", "metrics_log"),
    "Torch": ("loop", "config", "schedule", "sampler", "masking", "device"),
}
"""Folders of `shared` and their modules that are of use by themselves."""
TRANSLATED = {"README.md": "README.zh-CN.md"}
"""Other documents in Chinese are called `<name>.zh.md`."""
DECISIONS = "decisions.md"
"""The page that all decision records are on."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def pages(language: str) -> dict[str, str]:
    """Return the pages of the site in one language: path in the repository -> path in the site.

    A page that is not there in Chinese is there in English.
    """
    site = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        **{f"packages/{task}/README.md": f"tasks/{task}.md" for task in TASKS},
        **{f"docs/{task}.md": f"results/{task}.md" for task in TASKS},
        **{f"docs/{name}.md": f"how-to/{name}.md" for name in HOW_TO},
    }
    for path in sorted(ROOT.glob("docs/decisions/*.md")):
        site[f"docs/decisions/{path.name}"] = DECISIONS
    if language == "zh":
        for source in list(site):
            ours = TRANSLATED.get(source, source.replace(".md", ".zh.md"))
            if (ROOT / ours).exists():
                site = {ours if name == source else name: page for name, page in site.items()}
    return {source: page for source, page in site.items() if (ROOT / source).exists()}


def rewritten(text: str, source: str, page: str, site: dict[str, str], out: Path) -> str:
    """Return a document with its links as they are in the site; images are copied beside the pages.

    Parameters
    ----------
    text : str
    source, page : str
        Where it is in the repository, and in the site.
    site : dict
        As `pages` gives it.
    out : Path
        The site's sources.
    """

    def link(match: re.Match[str]) -> str:
        mark, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or ":" in target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        here = posixpath.dirname(page) or "."
        if mark:
            place = f"assets/{path.replace('/', '-')}"
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, out / place)
            return f"![{label}]({posixpath.relpath(place, here)})"
        names = (
            path,
            path.replace(".md", ".zh.md"),
            f"{path}/README.md",
            f"{path}/0001-packaging-hook.md",
        )
        for name in names:
            if name in site:
                return f"[{label}]({posixpath.relpath(site[name], here)}{anchor})"
        return label if label.startswith("`") else f"{label} (`{path}`)"

    # A page in two languages is one page to the site, which has a switch of its own.
    text = re.sub(r"^\[(中文|English)\]\(README[\w.-]*\)\n\n?", "", text, flags=re.MULTILINE)
    return LINK.sub(link, text)


def exports(task: str) -> dict[str, str]:
    """Return the names that a package exports: name -> module that defines it."""
    text = (ROOT / "packages" / task / "src" / task / "__init__.py").read_text(encoding="utf-8")
    tables = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    ]
    (homes,) = tables
    return dict(homes)


def reference_of(task: str) -> str:
    """Return the reference page of a package."""
    lines = [f"# {task}", "", f"Import these from `{task}`, as in `from {task} import load`.", ""]
    for name, home in exports(task).items():
        lines += [f"## {name}", "", f"::: {home}.{name}", ""]
    return "\n".join(lines)


def reference_of_shared() -> str:
    """Return the reference page of `shared`."""
    lines = [
        "# shared",
        "",
        "What the packages share. Each heading names a module to import from.",
        "",
    ]
    for folder, names in SHARED.items():
        for name in names:
            module = f"shared.{folder.lower()}.{name}"
            lines += [f"## {module}", "", f"::: {module}", ""]
    return "\n".join(lines)


def main(out: Path) -> None:
    """Write the sources of the site into a new folder, in a folder for each language."""
    shutil.rmtree(out, ignore_errors=True)
    for language in ("en", "zh"):
        folder = out / language
        site = pages(language)
        for source, page in site.items():
            text = (ROOT / source).read_text(encoding="utf-8")
            (folder / page).parent.mkdir(parents=True, exist_ok=True)
            text = rewritten(text, source, page, site, folder)
            if page == DECISIONS:
                text = text.replace("\n#", "\n##").replace("# ", "## ", 1) + "\n"
            with open(folder / page, "a", encoding="utf-8") as file:
                file.write(text)
        (folder / "reference").mkdir()
        for task in TASKS:
            (folder / "reference" / f"{task}.md").write_text(reference_of(task), encoding="utf-8")
        (folder / "reference" / "shared.md").write_text(reference_of_shared(), encoding="utf-8")
        print(f"{folder}: {len(list(folder.rglob('*.md')))} pages")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} OUT")
    main(Path(sys.argv[1]))
