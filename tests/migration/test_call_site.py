"""The router call and the task profile suggested for a found call."""

from __future__ import annotations

from engine.migration.scan import ScanReport

from .marked import marks


def test_the_task_type_is_guessed_from_names(report: ScanReport) -> None:
    """Where a mark names a task type, the suggestion has it."""
    _, types = marks()
    guessed = {(site.file, site.line): site.profile.task_type for site in report.sites}
    assert types == {place: guessed[place] for place in types}


def test_common_patterns_get_the_documented_answers(report: ScanReport) -> None:
    """Simple text, tool use and complex planning become exactly the documented call."""
    suggested = {site.function: site.suggestion for site in report.sites if site.file == "common_patterns.py"}
    assert suggested == {
        "simple": 'task = TaskProfile(task_type="qa", criticality="medium")\n'
        "result = await model_router.select_and_invoke(task, messages)",
        "use_tools": 'task = TaskProfile(task_type="routing", tool_use_required=True)\n'
        "result = await model_router.select_and_invoke(task, messages, tools=tools)",
        "make_plan": 'task = TaskProfile(task_type="planning", criticality="high", context_size=4000, '
        'budget_sensitivity="low")\n'
        "result = await model_router.select_and_invoke(task, messages, max_tokens=4000)",
    }


def test_every_suggestion_is_python(report: ScanReport) -> None:
    """Each proposal parses, and each TaskProfile in it can be built."""
    from engine import TaskProfile

    for site in report.sites:
        indented = "\n".join(f"    {line}" for line in site.suggestion.split("\n"))
        compile(f"async def f(self):\n{indented}", "suggestion", "exec")
        TaskProfile(**site.profile.arguments())  # type: ignore[arg-type]
