"""The pages of a grading: one for the teacher, one for each student, in English or Chinese."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from shared.files import whole_file
from shared.pages.report import Report, percent
from shared.teaching.assignment import Assignment, Remark
from shared.teaching.formats import gradescope
from shared.teaching.grade import Result, frequent_remarks
from shared.teaching.similarity import Pair

WORDS = {
    "en": {
        "points": "points", "of": "of {most} points", "part": "part", "remarks": "remarks", "full": "all right",
        "ungraded": "not graded",
        "mean": "mean", "median": "median", "submissions": "submissions", "by_part": "By part",
        "fraction": "fraction of the points", "mistakes": "Frequent mistakes", "mistake": "mistake",
        "students": "students", "unreadable": "Problems while a file was loaded", "student": "student",
        "reason": "reason", "comma": ", ", "semicolon": "; ", "colon": ": ",
        "similar": "Look alike", "similarity": "similarity", "grades": "Grades", "total": "total",
        "similar_text": "Similarity: the fraction of the smaller submission's code, in runs of 12 tokens, that the "
        "other one has too. Code of the handout is left out, and so is code that more than a fifth of the class has "
        "(in a small class, more than three; equal submissions count once). (solution) is the published solution. A "
        "reason to look, not a verdict.",
        "by_hand": "{parts}: graded by hand, not in these points.",
    },
    "zh": {
        "points": "得分", "of": "满分 {most}", "part": "部分", "remarks": "评语", "full": "全部正确",
        "ungraded": "未评分",
        "mean": "平均分", "median": "中位数", "submissions": "提交数", "by_part": "各部分",
        "fraction": "得分率", "mistakes": "常见错误", "mistake": "错误",
        "students": "人数", "unreadable": "加载文件时的问题", "student": "学号", "reason": "原因",
        "comma": "，", "semicolon": "；", "colon": "：",
        "similar": "相似的提交", "similarity": "相似度", "grades": "成绩", "total": "总分",
        "similar_text": "两份提交中较短一份的词法指纹有多少在另一份中出现；讲义中的代码，"
        "以及超过五分之一的同学（小班为超过三人，相同的提交只算一次）共有的部分不计。参考答案是公开的，因此也在比较之列，"
        "记作 (solution)。这只是需要查看的线索，不是结论。",
        "by_hand": "{parts}：人工评分，不计入以上得分。",
    },
}  # fmt: skip
TAGS = {"en": "en", "zh": "zh-CN"}


def write_students(
    assignment: Assignment, results: Sequence[Result], out: Path, language: str
) -> None:
    """Write each student's page and JSON into `out/students`."""
    folder = out / "students"
    folder.mkdir(parents=True, exist_ok=True)
    for result in results:
        with whole_file(folder / f"{result.student}.json") as file:
            content = gradescope.results(assignment, result, language)
            json.dump(content, file, ensure_ascii=False, indent=1)
        write_student_page(assignment, result, folder / f"{result.student}.html", language)


def write_student_page(assignment: Assignment, result: Result, page: Path, language: str) -> None:
    """Write one student's page: the total, then points and remarks by part."""
    words = WORDS[language]
    most = sum(assignment.points[name] for name in result.scores)
    report = Report(f"{assignment.task}{words['colon']}{result.student}", lang=TAGS[language])
    report.headline(f"{result.total:g}", words["of"].format(most=f"{most:g}"))
    for note in result.notes:
        report.text(assignment.text(note, language))
    rows = []
    for name, score in result.scores.items():
        remarks = words["semicolon"].join(
            assignment.text(remark, language) for remark in score.remarks
        )
        rows.append(
            (
                name,
                f"{score.points:g}\u00a0/\u00a0{assignment.points[name]:g}",
                remarks or words["full" if score.points else "ungraded"],
            )
        )
    report.table([words["part"], words["points"], words["remarks"]], rows)
    if assignment.by_hand:
        report.text(words["by_hand"].format(parts=words["comma"].join(assignment.by_hand)))
    report.save(page)


def write_class_page(
    assignment: Assignment,
    results: Sequence[Result],
    pairs: Sequence[Pair],
    page: Path,
    language: str,
) -> Path:
    """Write the teacher's page: figures, parts, frequent mistakes, what failed, what looks alike, all grades."""
    words = WORDS[language]
    todos = list(results[0].scores) if results else []
    most = sum(assignment.points[name] for name in todos)
    totals = sorted(result.total for result in results)
    count = len(totals)
    report = Report(f"{assignment.task}{words['colon']}{words['grades']}", lang=TAGS[language])
    if count:
        middle = (totals[(count - 1) // 2] + totals[count // 2]) / 2
        report.headline(
            f"{sum(totals) / count:.2f}",
            words["comma"].join([words["mean"], words["of"].format(most=f"{most:g}")]),
        )
        report.facts([(words["submissions"], str(count)), (words["median"], f"{middle:g}")])
        report.heading(words["by_part"])
        fractions = [
            (
                name,
                percent(
                    sum(r.scores[name].points for r in results) / count / assignment.points[name]
                ),
            )
            for name in todos
        ]
        report.table([words["part"], words["fraction"]], fractions)
    samples: dict[tuple[str, str], Remark] = {
        (name, remark.key): remark
        for r in results
        for name, s in r.scores.items()
        for remark in s.remarks
    }
    rows = [
        (name, assignment.text(samples[name, key], language), str(students))
        for name, key, students in frequent_remarks(results, assignment.points)[:30]
    ]
    if rows:
        report.heading(words["mistakes"])
        report.table([words["part"], words["mistake"], words["students"]], rows)
    broken = [
        (r.student, words["semicolon"].join(assignment.text(note, language) for note in r.notes))
        for r in results
        if r.notes
    ]
    if broken:
        report.heading(words["unreadable"])
        report.table([words["student"], words["reason"]], broken)
    if pairs:
        report.heading(words["similar"])
        report.text(words["similar_text"])
        alike = [(pair.first, pair.second, f"{100 * pair.similarity:.0f} %") for pair in pairs]
        report.table([words["student"], words["student"], words["similarity"]], alike)
    report.heading(words["grades"])
    header = [words["student"], words["total"], *todos]
    table = [
        [r.student, f"{r.total:g}", *(f"{r.scores[name].points:g}" for name in todos)]
        for r in sorted(results, key=lambda r: r.student)
    ]
    report.table(header, table)
    return report.save(page)
