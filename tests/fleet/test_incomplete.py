"""A run of which requests were given up says which samples lack, and is gone on with."""

from evalkit.engine.fleet import LostError
from evalkit.engine.local import LocalEngine
from evalkit.results import Store


def test_lost_requests_are_named_and_asked_again_on_resume(
    checkpoint, task_folder, tmp_path, evalkit_command, monkeypatch
):
    arguments = ("run", "--model", checkpoint, "--tasks", "toys", "--include-path", task_folder,
                 "--device", "cpu", "--store", tmp_path / "store")  # fmt: skip
    plain, lost = LocalEngine.respond, [3, 13]

    def respond(self, requests, answered=()):
        for batch in plain(self, requests, answered):
            yield [(i, response) for i, response in batch if i not in lost]
        raise LostError(lost, "a worker was killed")

    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, "respond", respond)
        outcome = evalkit_command(*arguments)
    assert outcome.code == 3
    assert "2 of 24 requests failed three times" in outcome.err
    assert "since a worker was killed" in outcome.err
    # Two requests a document of the first task, one of the second.
    assert "toy_choice: 1; toy_text: 1." in outcome.err
    assert not Store(tmp_path / "store").listing().runs
    outcome = evalkit_command(*arguments, "--resume", "auto")
    assert outcome.code == 0, outcome.err
    (run,) = Store(tmp_path / "store").listing().runs
    assert sum(task.requests for task in run.tasks.values()) == 24
