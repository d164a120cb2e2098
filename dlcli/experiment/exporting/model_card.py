"""The model card of a run: Markdown with front matter in YAML, as model hubs read it; all of it from the run itself."""

import copy
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.hdf5 import licence_of, open_hdf5
from dlcli.experiment.address import Address
from dlcli.experiment.models.combination import CombinedModel
from dlcli.experiment.models.model_folder import AnyModel
from dlcli.recipe.model import Recipe
from dlcli.recipe.resolved import to_toml

TAGS = {
    ("image", True): "image-classification",
    ("features", True): "tabular-classification",
    ("categorical", True): "tabular-classification",
    ("tokens", True): "text-classification",
    ("features", False): "tabular-regression",
    ("categorical", False): "tabular-regression",
    ("sequence", False): "time-series-forecasting",
}
"""What model hubs call a task, by the kind of the first input and whether it classifies; others have no name there."""
LICENCES = frozenset(
    {"apache-2.0", "bsd-3-clause", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "mit", "odbl"}
)
"""What model hubs call licences."""
Figures = Mapping[str, Mapping[str, float]]
"""By split, the loss and each metric."""


def model_card(
    address: Address, model: AnyModel, facts: Mapping[str, Any], recipe: Recipe, rows: Mapping[str, int]
) -> str:
    """Return the card of a run's model.

    Args:
        address: The run, or the member of it.
        model: Its model.
        facts: What its `run.json` holds.
        recipe: Its recipe, with the place of the data as it is now.
        rows: How many rows each split has, as it was trained.

    Returns:
        Markdown. Nothing in it tells where files were on this machine.
    """
    data = Path(recipe.data.path)
    with open_hdf5(data) as file:
        licence = licence_of(file)
    figures, spread, what = _figures(address, facts)
    parts = [
        *_front_matter(address, model, data, licence, figures, facts),
        f"# {_plain(title_of(address, facts))}",
        _what_it_is(address, model, facts),
        "## Data",
        *_data(model, data, facts, rows, licence),
        "## Figures",
        _table(figures, spread),
        *([what] if what else []),
        "## Limits",
        *_limits(model, facts, figures),
        "## Use",
        *_use(model, facts),
        "## Recipe",
        f"```toml\n{_recipe(facts, data)}```",
        *([f"Of the run: {_plain('; '.join(map(str, facts['notes'])))}."] if facts.get("notes") else []),
    ]
    return "\n\n".join(parts) + "\n"


def pipeline_tag(field: Field, task: Task, per_position: bool) -> str | None:
    """Return what model hubs call a task.

    Args:
        field: The first input.
        task: The task.
        per_position: Whether there is an answer for each position.

    Returns:
        Their name; None where they have none.
    """
    if per_position:
        return "token-classification" if field.kind == "tokens" and task.classifies else None
    return TAGS.get((field.kind, task.classifies))


def _front_matter(
    address: Address, model: AnyModel, data: Path, licence: str, figures: Figures, facts: Mapping[str, Any]
) -> list[str]:
    io = model.description.io
    tag = pipeline_tag(model.inputs[0], model.task, io.per_position)
    tags = ["dlcli", str(model.task), *([str(facts["strategy"])] if facts.get("strategy") else [])]
    lines = ["---", "library_name: dlcli", *_licence(licence)]
    lines += [*([f"pipeline_tag: {tag}"] if tag else []), "tags:", *(f"- {_text(each)}" for each in tags)]
    split = next((name for name in ("test", "held_out", "val") if name in figures), None)
    if split is not None:
        lines += ["model-index:", f"- name: {_text(title_of(address, facts))}", "  results:"]
        lines += ["  - task:", f"      type: {tag or 'other'}", f"      name: {_text(str(model.task))}", "    dataset:"]
        lines += [f"      name: {_text(data.name)}", f"      type: {_text(data.stem)}", f"      split: {split}"]
        lines.append("    metrics:")
        for name, value in figures[split].items():
            lines += [f"    - type: {_text(name)}", f"      name: {_text(name)}", f"      value: {_number(value)}"]
    return ["\n".join([*lines, "---"])]


def _what_it_is(address: Address, model: AnyModel, facts: Mapping[str, Any]) -> str:
    answers = f"{model.task} over {len(model.classes)} classes" if model.classes else str(model.task)
    each = " for each position" if model.description.io.per_position else ""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    made = f"`{model.description.architecture.name}`"
    if isinstance(model, CombinedModel):
        how = facts.get("strategy") or {"seeds": "seeds", "kfold": "folds"}.get(_population(facts).get("kind", ""), "")
        made = f"{len(model.wiring.everybody)} networks combined ({_plain(how or 'their mean')}), the first a {made}"
    member = f", its member {_plain(address.member)}" if address.member else ""
    return (
        f"A model for {answers}{each}: {made}, {parameters:,} parameters. It takes raw values and holds its own "
        f"preprocessing. Trained by dlcli {_plain(facts.get('versions', {}).get('dlcli', ''))} "
        f"({_plain(facts.get('command', 'train'))}), finished {_plain(facts.get('finished'))}{member}."
    )


def _data(
    model: AnyModel, data: Path, facts: Mapping[str, Any], rows: Mapping[str, int], licence: str
) -> Iterator[str]:
    seen = " and ".join(facts.get("trained_on") or ("train",))
    lines = [
        f"- file: `{_plain(data.name)}`, fingerprint `{_plain(facts['data']['fingerprint'])}`",
        f"- rows: {', '.join(f'{name} {count:,}' for name, count in rows.items())}",
        f"- trained on: {_plain(seen)}",
        *([f"- licence, as the file says: {_plain(licence)}"] if licence else []),
    ]
    yield "\n".join(lines)
    fields = [
        f"| `{_plain(field.name)}` | {field.role} | {field.kind} | {' × '.join(map(str, field.shape)) or 'one number'} "
        f"| {field.dtype} |"
        for field in (*model.description.fields, model.description.target)
    ]
    yield "\n".join(["| field | role | kind | a row's shape | type |", "|---|---|---|---|---|", *fields])


def _figures(address: Address, facts: Mapping[str, Any]) -> tuple[Figures, Figures, str]:
    """Return the figures of the run or member, what they vary by, and what that is."""
    entries = [entry for entry in facts.get("members") or () if not entry.get("failure")]
    if address.member:
        entry: Mapping[str, Any] = next((each for each in entries if each.get("identity") == address.member), {})
        own = {name: _finite(entry[name]) for name in ("train", "val", "test", "held_out") if entry.get(name)}
        compared = (facts.get("ensemble") or {}).get("comparison") or {}
        if entry.get("figures") and compared.get("split"):
            own[compared["split"]] = _finite(entry["figures"])
        return own, {}, "These are figures of this one member; how far others lie from it is told by the whole run."
    own = {name: _finite(facts[name]) for name in ("train", "val", "test") if facts.get(name)}
    population = _population(facts)
    if population and population.get("spread"):
        held_out = {"held_out": _finite(population["out_of_fold"])} if population.get("out_of_fold") else {}
        spread = {split: _finite(values) for split, values in population["spread"].items()}
        what = "fold" if population.get("kind") == "kfold" else "seed"
        return (
            {**own, **held_out},
            spread,
            f"Behind ±: the sample standard deviation over {len(entries)} {what}s, around their own mean.",
        )
    split = ((facts.get("ensemble") or {}).get("comparison") or {}).get("split")
    each = [entry["figures"] for entry in entries if entry.get("used") and entry.get("figures")]
    if split and len(each) > 1:
        names = set.intersection(*(set(_finite(figures)) for figures in each))
        spread = {split: {name: statistics.stdev(figures[name] for figures in each) for name in sorted(names)}}
        return (
            own,
            spread,
            (
                f"Behind ±: the sample standard deviation over the {len(each)} members, each by itself, around their "
                "own mean; it is no error of the figure before it."
            ),
        )
    return own, {}, "One training with one seed: how far another would lie from it was not measured."


def _table(figures: Figures, spread: Figures) -> str:
    names = list(dict.fromkeys(name for values in figures.values() for name in values))
    if not names:
        return "The run has none."
    lines = [f"| split | {' | '.join(map(_plain, names))} |", "|---" * (len(names) + 1) + "|"]
    for split, values in figures.items():
        cells = []
        for name in names:
            beside = spread.get(split, {}).get(name)
            cells.append((f"{values[name]:.4g}" if name in values else "") + (f" ± {beside:.2g}" if beside else ""))
        lines.append(f"| {_plain(split)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _limits(model: AnyModel, facts: Mapping[str, Any], figures: Figures) -> Iterator[str]:
    lines = [
        "- It has seen the rows named above and nothing else; how it does on data from elsewhere was not measured.",
        "- It does not notice inputs unlike those that it was trained on: its answers to them mean nothing, however "
        "certain they look.",
    ]
    if model.classes:
        listed = ", ".join(map(_plain, model.classes[:50])) + (", …" if len(model.classes) > 50 else "")
        lines.append(f"- Its answers are among these {len(model.classes)} classes, also where none fits: {listed}.")
    if "test" in figures:
        lines.append("- The test rows were scored once, by the finished model, and decided nothing.")
    if "val" in figures and "val" in (facts.get("trained_on") or ()):
        lines.append("- It was trained on the validation rows too: figures on them are too good.")
    elif "val" in figures:
        lines.append("- The validation rows chose the epoch or more: figures on them are somewhat too good.")
    yield "\n".join(lines)


def _use(model: AnyModel, facts: Mapping[str, Any]) -> Iterator[str]:
    needed = " ".join(f"{name}=={version}" for name, version in (facts.get("packages") or {}).items())
    yield f"`pip install {_plain(needed or 'dlcli')}`, then in Python:"
    needs = model.description
    given = [("", field) for field in (*model.inputs, *needs.conditions)]
    given += [
        (f"{key}=", field) for key, field in (("lengths", needs.length), ("mask", needs.mask)) if field is not None
    ]
    names = ", ".join(key + (field.name if field.name.isidentifier() else "x") for key, field in given)
    answer = "probabilities" if model.classes else "prediction"
    yield (
        f'```python\nimport dlcli\n\nmodel = dlcli.load("FOLDER")\n{answer} = model.probabilities({names})  '
        "# raw values, a row each\n```"
    )


def _recipe(facts: Mapping[str, Any], data: Path) -> str:
    table = copy.deepcopy(dict(facts["recipe"]))
    table["data"] = {**table.get("data", {}), "path": data.name}
    # What it was started from or made of are runs on the machine where it was trained.
    for section, key in (("train", "start_from"), ("ensemble", "runs")):
        said = (table.get(section) or {}).get(key)
        if said:
            table[section][key] = Path(said).name if isinstance(said, str) else [Path(each).name for each in said]
    return to_toml(table)


def _population(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts.get("population") or {}


def title_of(address: Address, facts: Mapping[str, Any]) -> str:
    """Return what a run, or a member of it, is called where nobody knows its path, such as `digits-mlp/0001@fold-3`."""
    return f"{facts.get('name')}/{address.run.path.resolve().name}" + (f"@{address.member}" if address.member else "")


def _finite(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if value is not None}


def _plain(value: object) -> str:
    """Return a text that is no Markdown: on one line, without what would end a cell or a code."""
    return " ".join(str(value).split()).translate({ord("|"): "/", ord("`"): "'", ord("<"): "‹", ord(">"): "›"})


def _text(value: str) -> str:
    """Return a text as YAML has it, of which JSON is a part."""
    return json.dumps(value, ensure_ascii=True)


def _licence(said: str) -> list[str]:
    """Return a licence as model hubs have it; one that they do not know goes by its name."""
    if not said:
        return []
    short = said.lower().replace(" ", "-")
    return [f"license: {short}"] if short in LICENCES else ["license: other", f"license_name: {_text(said)}"]


def _number(value: float) -> str:
    """Return a number as YAML has it: with a point, also before an exponent."""
    mantissa, e, exponent = repr(float(value)).partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{exponent}"
