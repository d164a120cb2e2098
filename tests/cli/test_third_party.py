"""Commands of plugins, and what a broken plugin does to the others: nothing."""

HELLO = """
import dlcli
@dlcli.hookimpl
def register_commands(app):
    @app.command()
    def hello(name: str = "you") -> None:
        "Say hello."
        print("hello", name)
"""


def test_a_plugin_adds_a_command(dlcli, install):
    install("dlcli-hello", HELLO)
    assert "Say hello." in dlcli("--help").out
    assert dlcli("hello", "--name", "me") == (0, "hello me\n", "")


def test_a_broken_plugin_is_named_and_the_rest_goes_on(dlcli, install, tmp_path, monkeypatch):
    install("dlcli-hello", HELLO)
    install("dlcli-broken", "import no_such_module")
    monkeypatch.setenv("DLCLI_PLUGINS", "dlcli-hello,dlcli-broken")
    outcome = dlcli("hello")
    assert outcome[:2] == (0, "hello you\n")
    assert outcome.err.count("\n") == 1
    assert "warning: broken plugin dlcli-broken 1.2 (dlcli_broken): ModuleNotFoundError" in outcome.err
    assert "plugins doctor" in outcome.err


def test_a_hook_that_raises_leaves_none_of_its_commands(dlcli, install):
    install("dlcli-half", HELLO + "\n    raise RuntimeError('half way')\n")
    outcome = dlcli("--help")
    assert outcome.code == 0
    assert "Say hello." not in outcome.out
    assert "dlcli-half 1.2 (dlcli_half): its commands: RuntimeError: half way" in outcome.err


def test_a_command_that_typer_refuses_does_not_break_the_others(dlcli, install):
    twice = "name: __import__('typing').Annotated[str, typer.Option(), typer.Argument()]"
    install("dlcli-odd", "import typer" + HELLO.replace("name: str", twice))
    outcome = dlcli("runs", "--help")
    assert outcome.code == 0
    assert "dlcli-odd 1.2 (dlcli_odd): its commands:" in outcome.err


def test_a_name_that_is_taken_stays_with_its_owner(dlcli, install):
    install("dlcli-thief", HELLO.replace("def hello", "def train"))
    outcome = dlcli("train", "--help")
    assert "Say hello." not in outcome.out
    assert "the commands of plugin dlcli-thief 1.2 (dlcli_thief) are left out: there is train already" in outcome.err


def test_no_warning_is_printed_into_a_line_that_is_being_completed(dlcli, install, monkeypatch):
    install("dlcli-broken", "import no_such_module")
    monkeypatch.setenv("_DLCLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "dlcli ")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert dlcli().err == ""


def test_nothing_is_loaded_where_no_package_names_our_group(tmp_path, monkeypatch):
    from dlcli.cli import third_party

    monkeypatch.setenv("DLCLI_PLUGINS", "all-there-are")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.setattr("sys.meta_path", [])
    assert not third_party.may_have_plugins()
    (tmp_path / "some-1.0.dist-info").mkdir()
    (tmp_path / "some-1.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\ndlcli = some:main\n")
    assert not third_party.may_have_plugins()
    (tmp_path / "some-1.0.dist-info" / "entry_points.txt").write_text("[dlcli]\nsome = some\n")
    assert third_party.may_have_plugins()


def test_packages_that_lie_elsewhere_than_in_folders_are_not_overlooked(tmp_path, monkeypatch):
    from dlcli.cli import third_party

    monkeypatch.setenv("DLCLI_PLUGINS", "all-there-are")
    monkeypatch.setattr("sys.meta_path", [])
    monkeypatch.setattr("sys.path", [str(tmp_path / "packages.zip")])
    assert not third_party.may_have_plugins()
    (tmp_path / "packages.zip").write_bytes(b"")
    assert third_party.may_have_plugins()
