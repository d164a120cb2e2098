import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from dlcli.report.ensemble_members import best_first, member_names
from dlcli.report.ensemble_outcome import (
    Calibration,
    Comparison,
    EnsembleMember,
    EnsembleOutcome,
    Gain,
    TemperatureScaling,
)
from dlcli.report.ensemble_summary import comparison_table, ensemble_summary_view

RUN = Path("runs/bag/0001")
MEMBERS = (
    EnsembleMember("bag-0", None, 12, 30, 1.5, 0.12, 100, figures={"loss": 0.13, "accuracy": 0.95}),
    EnsembleMember("bag-1", None, 8, 30, 1.5, 0.11, 100, figures={"loss": 0.15, "accuracy": 0.96}),
    EnsembleMember("bag-2", used=False, failure="the loss is NaN"),
)
OUTCOME = EnsembleOutcome(
    RUN,
    "bag",
    "finished",
    "bagging",
    "combination",
    "val_loss",
    "min",
    12.3,
    MEMBERS,
    train={"loss": 0.01, "accuracy": 0.99},
    val={"loss": 0.0756, "accuracy": 0.9791},
    test={"loss": 0.0812, "accuracy": 0.9778},
    score=0.0756,
    comparison=Comparison(
        "test",
        1360,
        {"loss": 0.0812, "accuracy": 0.9778},
        "bag-1",
        {"loss": 0.15, "accuracy": 0.96},
        {"loss": 0.14, "accuracy": 0.955},
        Gain(0.0688, 0.0041),
        Gain(0.0588, 0.0033),
        0.0412,
        0.613,
    ),
    unseen_kind="out-of-bag",
    unseen={"loss": 0.0912, "accuracy": 0.9721},
    calibration=Calibration(0.0812, 0.0366, 0.0213),
    temperature_scaling=TemperatureScaling(
        0.8312, False, Calibration(0.0812, 0.0366, 0.0213), Calibration(0.0744, 0.0361, 0.0102)
    ),
    relative_seconds=2.4,
    relative_parameters=2.0,
    picture=RUN / "members.svg",
    extends=True,
)


@pytest.fixture
def lines(text):
    return lambda outcome, width=80: [
        line.rstrip() for line in text(ensemble_summary_view(outcome), width).splitlines()
    ]


def test_the_whole(lines):
    assert lines(OUTCOME, 100) == [
        "run      runs/bag/0001  finished",
        "made     bagging: 3 members in 12 s; 2.4 × the training time and 2.0 × the parameters of one",
        "score    val_loss 0.0756 on validation rows",
        "",
        "                              test      test",
        "member     epoch  val_loss    loss  accuracy",
        "bag-0   12 of 30    0.1200  0.1300    0.9500",
        "bag-1    8 of 30    0.1100  0.1500    0.9600",
        "bag-2     failed",
        "",
        "failed   member bag-2: the loss is NaN",
        "",
        "1,360 test rows       loss  accuracy      gain in loss",
        "ensemble            0.0812    0.9778",
        "best member, bag-1  0.1500    0.9600  +0.0688 ± 0.0041",
        "mean of 2 members   0.1400    0.9550  +0.0588 ± 0.0033",
        "Gain: how much smaller the ensemble's loss is, ± its standard error. Best: by its score on",
        "validation rows.",
        "diverse  two members disagree on 4.1% of rows; errors of two members correlate at 0.61",
        "",
        "              loss  accuracy",
        "train       0.0100    0.9900",
        "val         0.0756    0.9791",
        "out-of-bag  0.0912    0.9721",
        "",
        "                         negative   Brier  calibration",
        "calibration        log-likelihood   score        error",
        "as it is                   0.0812  0.0366       0.0213",
        "temperature 0.831          0.0744  0.0361       0.0102",
        "Not applied: --set ensemble.temperature_scaling=true does it.",
        "",
        "picture  runs/bag/0001/members.svg",
        "next     dlcli evaluate runs/bag/0001 --data FILE.h5",
        "more     dlcli ensemble --resume runs/bag/0001 --members 6",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_only_what_is_to_be_copied_may_be_wider_than_the_terminal(lines, width):
    names = [f"a/very/long/directory/of/runs/number-{number}/0001" for number in range(2)]
    given = tuple(replace(member, source=name, epochs=0) for member, name in zip(MEMBERS[:2], names, strict=True))
    for line in lines(replace(OUTCOME, members=given), width):
        assert len(line) <= width or "dlcli " in line


def test_an_interrupted_run_can_go_on(lines):
    outcome = EnsembleOutcome(RUN, "bag", "interrupted", "bagging", "combination", "val_loss", "min", 1.0, MEMBERS[:1])
    assert lines(outcome) == [
        "run      runs/bag/0001  interrupted",
        "made     bagging: 1 member in 1.0 s",
        "",
        "member     epoch  val_loss    loss  accuracy",
        "bag-0   12 of 30    0.1200  0.1300    0.9500",
        "",
        "go on    dlcli ensemble --resume runs/bag/0001",
    ]


class TestMembers:
    def test_of_many_the_best_the_mean_and_the_worst_are_shown(self, lines):
        members = tuple(
            EnsembleMember(f"m-{n}", epoch=1, score=n / 100, figures={"loss": n / 10}) for n in range(1, 14)
        )
        shown = lines(replace(OUTCOME, members=members))
        at = next(place for place, line in enumerate(shown) if line.startswith("member"))
        assert [line.split() for line in shown[at + 1 : at + 5]] == [
            ["best:", "m-1", "1", "0.0100", "0.1000"],
            ["mean", "of", "13", "0.0700", "0.7000"],
            ["worst:", "m-13", "1", "0.1300", "1.3000"],
            [],
        ]

    def test_the_mean_counts_members_with_figures_as_the_comparison_does(self, lines):
        members = tuple(EnsembleMember(f"m-{n}", score=n / 100, figures={"loss": n / 10}) for n in range(1, 14))
        without = EnsembleMember("m-14", score=9.0)
        shown = lines(replace(OUTCOME, members=(*members, without)))
        assert next(line for line in shown if line.startswith("mean of 13   ")).split()[3:] == ["0.0700", "0.7000"]
        assert any(line.startswith("mean of 13 members") for line in shown)

    @pytest.mark.parametrize(("direction", "order"), [("min", "bcad"), ("max", "cbad")])
    def test_the_best_come_first_and_those_without_a_score_last(self, direction, order):
        scores = {"a": math.nan, "b": 0.25, "c": 0.5, "d": None}
        members = tuple(EnsembleMember(name, score=score) for name, score in scores.items())
        found = best_first(replace(OUTCOME, direction=direction, members=(*members, MEMBERS[2])))
        assert "".join(member.identity for member in found) == order

    def test_given_members_are_known_by_their_runs(self):
        given = [EnsembleMember("x-0001", "runs/x/0001"), EnsembleMember("y-0001", "runs/y/0001")]
        assert member_names(given) == {"x-0001": "runs/x/0001", "y-0001": "runs/y/0001"}

    def test_states_of_one_run_are_known_by_their_identities(self):
        given = [EnsembleMember("x-epoch-0001", "runs/x/0001"), EnsembleMember("x-epoch-0002", "runs/x/0001")]
        assert list(member_names(given).values()) == ["x-epoch-0001", "x-epoch-0002"]

    def test_those_that_are_not_part_of_it_are_told_apart(self, lines):
        shown = lines(replace(OUTCOME, members=(MEMBERS[0], replace(MEMBERS[1], used=False), MEMBERS[2])))
        assert "model    1 of the members, combined" in shown
        at = next(place for place, line in enumerate(shown) if line.startswith("member"))
        assert [line.split()[1] for line in shown[at : at + 4]] == ["used", "yes", "no", "failed"]

    def test_all_failed(self, lines):
        outcome = replace(OUTCOME, status="failed", members=(MEMBERS[2],) * 13, comparison=None)
        assert "go on    dlcli ensemble --resume runs/bag/0001" in lines(outcome)

    def test_without_validation_rows_there_is_no_score(self, lines):
        members = tuple(replace(member, score=None) for member in MEMBERS)
        shown = lines(replace(OUTCOME, members=members, score=None, val=None))
        assert not any("val_loss" in line for line in shown)
        assert not any("validation rows" in line for line in shown)


class TestComparison:
    def with_gain(self, value, error=0.01, **facts):
        return replace(OUTCOME, comparison=replace(OUTCOME.comparison, gain_on_best=Gain(value, error)), **facts)

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (0.021, None),
            (0.019, "Not clearly better than the best member: by less than two standard errors."),
            (-0.019, "Not clearly better than the best member: by less than two standard errors."),
            (-0.021, "Worse than the best member on these rows."),
        ],
    )
    def test_a_gain_that_is_none_is_called_so(self, lines, value, said):
        doubts = [line for line in lines(self.with_gain(value)) if line.startswith(("Not clearly", "Worse"))]
        assert doubts == ([said] if said else [])

    def test_a_single_member_gains_nothing_and_is_not_reproached(self, lines):
        shown = "\n".join(lines(self.with_gain(0.0, 0.0, kind="single", members=MEMBERS[:1])))
        assert "model    one network\n" in shown
        assert "the model" in shown
        assert "Not clearly" not in shown

    def test_the_one_of_several_is_named(self, lines):
        members = (MEMBERS[0], replace(MEMBERS[1], used=False))
        assert "model    one network, bag-0" in lines(replace(OUTCOME, kind="single", members=members))

    def test_a_network_that_learned_from_a_given_model(self, lines):
        teacher = EnsembleMember("digits-0001", "digits/0001", used=False)
        student = replace(MEMBERS[0], identity="student")
        shown = lines(replace(OUTCOME, strategy="distill", kind="single", members=(teacher, student), seconds=2.3), 120)
        assert shown[1].startswith("made     distill: 1 network in 2.3 s, learned from digits/0001; 2.4 × the training")
        assert "model    one network, student" in shown

    @pytest.mark.parametrize(
        ("value", "error", "said"),
        [
            (0.00052, 6.649e-05, "+0.000520 ± 0.000066"),
            (-0.0005, 0.0004, "-0.00050 ± 0.00040"),
            (0.0688, 0.0041, "+0.0688 ± 0.0041"),
            (2345.678, 1234.5, "+2,346 ± 1,234"),
            (1e-12, 1e-13, "+0.00000000 ± 0.00000000"),
            (0.0, 0.0, "+0.0000 ± 0.0000"),
        ],
    )
    def test_a_gain_and_its_error_have_the_same_decimals(self, lines, value, error, said):
        best = next(line for line in lines(self.with_gain(value, error)) if line.startswith("best member"))
        assert best.endswith(f"  {said}")

    def test_averaged_weights(self, lines):
        shown = lines(replace(OUTCOME, kind="weights"))
        assert "model    one network, whose weights are the average of 2" in shown
        assert "averaged weights    0.0812    0.9778" in shown

    def test_one_row_has_no_standard_error(self, lines):
        assert "best member, bag-1  0.1500    0.9600           +0.0200" in lines(self.with_gain(0.02, math.nan))

    def test_rows_that_choices_were_made_on_are_named(self, lines):
        comparison = replace(OUTCOME.comparison, split="val", disagreement=None, error_correlation=None)
        shown = " ".join(lines(replace(OUTCOME, comparison=comparison)))
        assert "Choices were made on these rows, so all figures are a little too good." in shown
        assert "diverse" not in shown

    def test_figures_that_differ_from_the_comparison_are_shown_beside_it(self, lines):
        assert "test        0.0800    0.9778" in lines(replace(OUTCOME, test={"loss": 0.08, "accuracy": 0.9778}))

    def test_there_must_be_one(self):
        with pytest.raises(ValueError, match="nothing was compared"):
            comparison_table(replace(OUTCOME, comparison=None))


class TestCalibration:
    def test_applied(self, lines):
        outcome = replace(OUTCOME, temperature_scaling=replace(OUTCOME.temperature_scaling, applied=True))
        assert "The model divides its outputs by the temperature, fitted on validation rows." in lines(outcome)
        assert not any("--set" in line for line in lines(outcome))

    def test_without_temperature_scaling(self, lines):
        shown = lines(replace(OUTCOME, temperature_scaling=None))
        assert "as it is             0.0812  0.0366       0.0213" in shown
        assert not any("temperature" in line for line in shown)

    def test_regression_has_none(self, lines):
        assert not any("Brier" in line for line in lines(replace(OUTCOME, temperature_scaling=None, calibration=None)))


def test_members_can_be_added_only_where_the_strategy_can(lines):
    assert not any("--members" in line for line in lines(replace(OUTCOME, extends=False)))


def test_json_of_what_is_not_finite():
    odd = replace(OUTCOME, score=math.nan, members=(replace(MEMBERS[0], score=math.nan),))
    found = json.loads(json.dumps(odd.as_json(), allow_nan=False))
    assert (found["score"], found["members"][0]["score"]) == (None, None)
    assert found["ensemble"]["comparison"]["gain_on_best"] == {"value": 0.0688, "standard_error": 0.0041}
