"""`make docs`: gather the documents of the repository into the pages of a site, which MkDocs then builds.

    python tools/site_sources.py OUT

Every README and document becomes a page; links between them lead from page to page, and links to code become its name.
Tutorials are the assignments of the teaching kit with their solutions, cell by cell. One page gathers the figures of
all READMEs. Reference pages list what each package exports; mkdocstrings fills them in. Uses the standard library only.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "shared" / "src"))
from shared.teaching.edition import Edition  # noqa: E402

TASKS = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
HOW_TO = (
    "own-data",
    "teaching",
    "several-gpus",
    "export",
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
ASSETS = ("iframe-worker.js", "site.css")
FIGURES = "results/figures.md"
"""The page with the results of all READMEs."""
TUTORIAL = {
    "en": "!!! note\n    The assignment of the [teaching kit](../how-to/teaching.md) with its solution. As a notebook "
    "it is `handout/teacher/solution.en.ipynb` after `{command} handout --out handout`; the one with gaps is in "
    "`handout/student`.",
    "zh": "!!! note\n    [教学套件](../how-to/teaching.md)中的作业及其参考解答。运行 "
    "`{command} handout --out handout` 后，`handout/teacher/solution.zh.ipynb` 就是本页的 notebook，"
    "`handout/student` 里是留有空缺的学生版。",
}
"""What stands below the title of a tutorial."""
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
CJK = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”]")
TODO = re.compile(r"TODO \w+(?: \([^)]* points?\): |（[^）]*分）：)")
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


def tutorial(task: str, language: str) -> str:
    """Return an assignment with its solution as a page."""
    source = ROOT / "packages" / task / "src" / task / "assignment" / "edition.py"
    note = TUTORIAL[language].format(command=task.replace("_", "-"))
    parts = []
    for cell in Edition.read(source).in_language(language, with_solution=True):
        if cell.kind == "markdown":
            parts.append(cell.text)
        else:
            parts.append(f"```python\n{TODO.sub('', cell.text)}\n```")
    title, _, rest = parts[0].partition("\n")
    return "\n\n".join([title, note, rest.strip("\n"), *parts[1:]]) + "\n"


def figures(language: str, out: Path) -> str:
    """Return the page of all figures: the results of the first README, then those of each package.

    Parameters
    ----------
    language : {"en", "zh"}
    out : Path
        The site's sources in this language.
    """
    site = pages(language)
    first = TRANSLATED["README.md"] if language == "zh" else "README.md"
    title = {"en": "Results", "zh": "结果"}[language]
    parts = [f"# {title}", rewritten(section(first, title), first, FIGURES, site, out)]
    for task in TASKS:
        source = f"packages/{task}/README.md"
        text = section(source, "Results")
        parts += [f"## {task}", rewritten(text, source, FIGURES, site, out)]
    return "\n\n".join(parts) + "\n"


def section(source: str, title: str) -> str:
    """Return the text of a document below one of its headings."""
    text = (ROOT / source).read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(body).strip("\n")


def for_mkdocs(text: str) -> str:
    """Return a document as Python-Markdown takes it: lists and formulas are blocks; no space between Chinese lines."""
    parts = FENCE.split(text)
    for i in range(0, len(parts), 2):  # every second one is code
        lines: list[str] = []
        for line in parts[i].replace("$$\n$$", "$$\n\n$$").split("\n"):
            last = lines[-1] if lines else ""
            is_text = bool(last) and not last.startswith(("#", "|"))
            if is_text and CJK.match(last[-1]) and CJK.match(line.lstrip()):
                lines[-1] += line.lstrip()
                continue
            if is_text and not re.match(r"\s|- |\d+\. ", last) and re.match(r"- |\d+\. ", line):
                lines.append("")
            lines.append(line)
        parts[i] = "\n".join(lines)
    return "".join(parts)


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
                file.write(for_mkdocs(text))
        for name in ASSETS:
            (folder / "assets").mkdir(exist_ok=True)
            shutil.copy(ROOT / "tools" / name, folder / "assets" / name)
        (folder / "tutorials").mkdir()
        for task in TASKS:
            text = tutorial(task, language)
            (folder / "tutorials" / f"{task}.md").write_text(for_mkdocs(text), encoding="utf-8")
        page = for_mkdocs(figures(language, folder))
        (folder / FIGURES).write_text(page, encoding="utf-8")
        (folder / "reference").mkdir()
        for task in TASKS:
            (folder / "reference" / f"{task}.md").write_text(reference_of(task), encoding="utf-8")
        (folder / "reference" / "shared.md").write_text(reference_of_shared(), encoding="utf-8")
        print(f"{folder}: {len(list(folder.rglob('*.md')))} pages")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {Path(sys.argv[0]).name} OUT")
    main(Path(sys.argv[1]))
