from dlcli import Choice, Condition, Uniform, belongs
from dlcli.builtin.searches.random import Random
from dlcli.search.sampling import draw

SPACE = {
    "lr": Uniform(1e-4, 1.0, log=True),
    "kind": Choice(("a", "b")),
    "x": Uniform(0, 1, when=Condition("kind", ("a",))),
}


def test_samples_are_the_first_trials_of_random_search():
    settings = draw(SPACE, 3)
    assert len(settings) == 10
    assert all(belongs(SPACE, setting) for setting in settings)
    assert settings == Random().start(SPACE, "min", 3).ask(range(10))
    assert draw(SPACE, 3, 0) == []
