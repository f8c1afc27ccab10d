"""Models behind OpenAI-compatible servers: the same scores, nothing lost, nothing twice."""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import evalkit
from evalkit.engine.endpoint import EndpointEngine, open_endpoint
from evalkit.engine.endpoint.calls import GarbledError, token_places
from evalkit.errors import EvaluationError, UsageError
from evalkit.types import Decoding, Request, RequestKind, Response
from tests.engine.endpoint_server import FAULTS, REFUSED_S, STALL_S, Model, serving
from tests.ports import free_port

WAIT_S, STEP_S, GAP_S = 0.1, 0.05, 0.3


@pytest.fixture(scope="module")
def model(checkpoint):
    return Model(checkpoint)


@pytest.fixture
def server(model, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(model) as made:
        yield made


def scores(result):
    return {(score.task, score.metric, score.filter): score.value for score in result.scores}


def toys(folder, *names):
    return [str(folder / f"{name}.yaml") for name in names]


def test_scores_are_those_of_the_local_engine(server, checkpoint, task_folder, tmp_path):
    tasks = toys(task_folder, "toy_choice", "toy_answer")
    local = evalkit.run(str(checkpoint), tasks, store=str(tmp_path), device="cpu")
    served = evalkit.run(f"openai:{server.url}#tiny", tasks, store=str(tmp_path), name="served")
    assert scores(served) == pytest.approx(scores(local), abs=1e-9)
    for task, column in (("toy_choice", "loglikelihoods"), ("toy_answer", "responses")):
        ours, theirs = (
            evalkit.load_samples(tmp_path, run.manifest.run_id, task) for run in (local, served)
        )
        assert ours.prompt_hash.tolist() == theirs.prompt_hash.tolist()
        for a, b in zip(ours[column], theirs[column], strict=True):
            assert list(a) == (
                pytest.approx(list(b), abs=1e-3) if task == "toy_choice" else list(b)
            )
        assert [list(a) for a in ours.is_greedy] == [list(b) for b in theirs.is_greedy]


def test_a_special_token_in_front_moves_no_border(server):
    """vLLM counts it in the places of the tokens after it."""
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"))
    asked = [
        Request(RequestKind.LOGLIKELIHOOD, context, continuation)
        for context in ("The baker", "A farmer went to town, and he", "one two")
        for continuation in (" said", " met a teacher", " three four five")
    ]
    plain = dict(pair for batch in engine.respond(asked) for pair in batch)
    server.begins_with = "<|begin_of_text|>"
    marked = dict(pair for batch in engine.respond(asked) for pair in batch)
    assert marked == plain


def test_tokens_are_found_in_their_text():
    text = "né à"
    whole = ["n", "é", " à", "!"]
    assert token_places(whole, [0, 1, 2, 4], text) == [0, 1, 2, 4]
    bytewise = ["<s>", "n", "", "é", " à", "!"]
    assert token_places(bytewise, [0, 3, 4, 4, 5, 7], text) == [None, 0, 1, 1, 2, 4]
    with pytest.raises(GarbledError, match="not those of the prompt"):
        token_places(["n", "x"], [0, 1], "ny")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_lose_nothing_and_count_nothing_twice(server, task_folder, tmp_path, fault):
    tasks = toys(task_folder, "toy_answer")
    address = f"openai:{server.url}#tiny"
    calm = evalkit.run(address, tasks, store=str(tmp_path), name="calm")
    server.asked.clear()
    server.most = 0
    server.faults = [fault]
    rough = evalkit.run(address, tasks, store=str(tmp_path), name="rough", concurrency=3)
    assert scores(rough) == scores(calm)
    before, after = (
        evalkit.load_samples(tmp_path, run.manifest.run_id, "toy_answer") for run in (calm, rough)
    )
    assert [list(r) for r in before.responses] == [list(r) for r in after.responses]
    expected = 1 if fault == "slow" else 2
    assert set(server.asked.values()) == {expected}
    assert server.most <= 3


def test_a_stream_that_is_cut_or_stalls_is_asked_again(server, monkeypatch):
    server.faults = ["cut", "500", "429", "stall"]
    monkeypatch.setattr("evalkit.engine.endpoint.engine.TIMEOUT_S", STALL_S / 2)
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"))
    decoding = Decoding(max_new_tokens=6)
    asked = [
        Request(RequestKind.TIMED, f"The {word}", decoding=decoding)
        for word in ("a", "b", "c", "d")
    ]
    found = dict(pair for batch in engine.respond(asked) for pair in batch)
    assert sorted(found) == [0, 1, 2, 3]
    assert all(len(response.token_s) == response.output_tokens for response in found.values())
    assert set(server.asked.values()) == {2}


def test_no_more_requests_leave_in_a_minute_than_are_allowed(server):
    """The engine's next call waits for its turn too."""
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"), per_minute=60 / GAP_S)
    asked = [
        Request(RequestKind.GENERATE, f"The {word}", decoding=Decoding(max_new_tokens=1))
        for word in ("a", "b", "c", "d")
    ]
    for part in (asked[:3], asked[3:]):
        assert sum(len(batch) for batch in engine.respond(part)) == len(part)
    assert len(server.arrived) == len(asked)
    # The way of the first to the server may have taken longer than that of the last.
    assert server.arrived[-1] - server.arrived[0] >= (len(asked) - 1.5) * GAP_S


def timed(word, **batch):
    return Request(RequestKind.TIMED, f"The {word}", decoding=Decoding(max_new_tokens=2), **batch)


def test_a_pause_of_the_clients_own_is_in_no_time(server):
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"), per_minute=60 / 2)
    asked = [timed(word, batch="b", at_once=2) for word in ("a", "b")]
    ((_, first), (_, second)) = sorted(pair for batch in engine.respond(asked) for pair in batch)
    assert second.start_s - first.start_s > 1.5
    assert max(first.total_s, second.total_s) < 1.5


def test_requests_due_at_a_moment_are_clocked_from_it(server):
    """However late they leave, for a user would have waited all that time."""
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"), per_minute=60 / 2)
    asked = [timed(word, batch="b", start_s=0.1) for word in ("a", "b")]
    ((_, first), (_, second)) = sorted(pair for batch in engine.respond(asked) for pair in batch)
    assert first.start_s == second.start_s == pytest.approx(0.1)
    assert second.first_token_s > 1.5


def test_connections_stay_open_from_batch_to_batch(server):
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"))
    asked = [timed(f"{n} {batch}", batch=batch, at_once=2) for batch in "abc" for n in range(4)]
    assert sum(len(batch) for batch in engine.respond(asked)) == len(asked)
    assert server.connections == 2


@pytest.mark.parametrize("scheme", ["openai", "openai-chat"])
def test_a_text_that_ends_at_once_is_one_token(server, scheme):
    server.most_tokens = 0
    ((found,),) = EndpointEngine(open_endpoint(f"{scheme}:{server.url}#tiny")).respond([timed("a")])
    response = found[1]
    assert (response.text, response.output_tokens) == ("", 1)
    assert response.first_token_s == response.total_s > 0


def test_thoughts_are_tokens_and_no_text(server):
    server.thoughts, server.step_s, server.strict = ("hm", "well"), STEP_S, True
    engine = EndpointEngine(open_endpoint(f"openai-chat:{server.url}#tiny"))
    ((found,),) = engine.respond([timed("a")])
    response = found[1]
    assert len(response.token_s) == 4
    assert "hm" not in response.text
    assert response.total_s - response.first_token_s >= STEP_S


def test_a_refusal_counts_in_the_time_it_cost(server):
    server.faults, server.wait_s = ["slow 500"], 0.0
    engine = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny"))
    ((found,),) = engine.respond([timed("a")])
    assert found[1].first_token_s > REFUSED_S


def test_planted_waits_are_found(server):
    server.wait_s, server.step_s = WAIT_S, STEP_S
    engine = EndpointEngine(open_endpoint(f"openai-chat:{server.url}#tiny"))
    request = Request(RequestKind.TIMED, "The baker", decoding=Decoding(max_new_tokens=4))
    ((_, response),) = next(engine.respond([request]))
    assert response.first_token_s >= WAIT_S
    assert response.total_s >= WAIT_S + 3 * STEP_S


@pytest.mark.parametrize("strict", [False, True])
def test_tokens_are_counted_by_the_server_where_it_says(server, strict):
    """A piece of a stream may hold several tokens; a server that refuses the question says none."""
    server.together, server.step_s, server.strict = 4, STEP_S, strict
    request = Request(RequestKind.TIMED, "The baker", decoding=Decoding(max_new_tokens=12))
    ((found,),) = EndpointEngine(open_endpoint(f"openai:{server.url}#tiny")).respond([request])
    response = found[1]
    assert len(response.token_s) == 3
    assert response.output_tokens == (3 if strict else 12)
    assert response.prompt_tokens == (0 if strict else 7)
    tokens_after = 2 if strict else 11
    assert response.per_token_s == pytest.approx(
        (response.total_s - response.first_token_s) / tokens_after
    )


def test_timed_requests_do_not_wait_for_whoever_takes_the_answers(server):
    requests = [
        Request(
            RequestKind.TIMED, f"{place} apples", decoding=Decoding(max_new_tokens=2), batch="b",
            start_s=start,
        )
        for place, start in enumerate((0.0, 0.2))
    ]  # fmt: skip
    found = {}
    for answers in EndpointEngine(open_endpoint(f"openai:{server.url}#tiny")).respond(requests):
        found.update(answers)
        time.sleep(2)
    assert found[1].start_s < 1


def test_what_was_answered_beside_a_failure_is_not_lost(monkeypatch):
    async def answer(client, endpoint, request, began):
        if request.context == "b":
            raise TypeError("garbled")
        return Response(text=request.context)

    monkeypatch.setattr("evalkit.engine.endpoint.engine.answer", answer)
    monkeypatch.setattr("evalkit.engine.endpoint.engine.RETRIES", 0)
    engine = EndpointEngine(open_endpoint("openai:http://127.0.0.1:1/v1#m"))
    kept = {}
    with pytest.raises(EvaluationError, match="gave no answer"):
        for answers in engine.respond([Request(RequestKind.GENERATE, text) for text in "abc"]):
            kept.update(answers)
    assert sorted(kept) == [0, 2]


def test_a_run_goes_on_where_the_server_failed(
    server, evalkit_command, task_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("evalkit.engine.endpoint.engine.RETRIES", 0)
    (task,) = toys(task_folder, "toy_answer")
    address = f"openai:{server.url}#tiny"
    given = ("run", "--model", address, "--tasks", task, "--store", tmp_path, "--concurrency", 1)
    generate = server.model.generate
    left = iter(range(4))
    monkeypatch.setattr(
        server.model,
        "generate",
        lambda body: generate(body) if next(left, None) is not None else 1 / 0,
    )
    broken = evalkit_command(*given)
    assert broken.code == 3
    assert "go on with: evalkit run --resume" in broken.err
    assert "Traceback" not in broken.err
    monkeypatch.setattr(server.model, "generate", generate)
    asked = dict(server.asked)
    done = evalkit_command(*given, "--resume", "auto")
    assert done.code == 0, done
    assert sum(server.asked.values()) - sum(asked.values()) == 2


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("openai:localhost#m", "no address of an endpoint"),
        ("openai:http://127.0.0.1:1/v1", "no address of an endpoint"),
        ("openai:http://[::1/v1#m", "no address of an endpoint"),
        ("openai:http://127.0.0.1:abc/v1#m", "no address of an endpoint"),
        ("openai:http://127.0.0.1:99999/v1#m", "no address of an endpoint"),
        ("openai:http://me:secret@127.0.0.1:1/v1#m", "OPENAI_API_KEY"),
    ],
)
def test_an_address_that_is_none_is_refused(address, said):
    with pytest.raises(UsageError, match=said) as caught:
        open_endpoint(address)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr("evalkit.engine.endpoint.engine.RETRIES", 0)
    engine = EndpointEngine(open_endpoint("openai:http://127.0.0.1:9/v1#m"))
    with pytest.raises(EvaluationError, match="gave no answer"):
        list(engine.respond([Request(RequestKind.GENERATE, "a", decoding=Decoding())]))


def test_what_a_server_cannot_do_is_said(server):
    scored = [Request(RequestKind.LOGLIKELIHOOD, "The", " baker")]
    server.logprobs = False
    with pytest.raises(UsageError, match="offers no log-probabilities"):
        list(EndpointEngine(open_endpoint(f"openai:{server.url}#tiny")).respond(scored))
    with pytest.raises(UsageError, match="offers no log-probabilities"):
        list(EndpointEngine(open_endpoint(f"openai-chat:{server.url}#tiny")).respond(scored))


def test_the_key_comes_from_the_environment_and_stays_there(
    server, task_folder, tmp_path, monkeypatch, evalkit_command
):
    server.key = "sk-planted-key-0123456789abcdef"
    (task,) = toys(task_folder, "toy_answer")
    given = ("run", "--model", f"openai:{server.url}#tiny", "--tasks", task, "--store", tmp_path)
    refused = evalkit_command(*given)
    assert refused.code == 2
    assert "set OPENAI_API_KEY" in refused.err
    monkeypatch.setenv("OPENAI_API_KEY", server.key)
    assert evalkit_command(*given).code == 0
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert kept
    assert not any(server.key.encode() in content for content in kept)


def test_answers_of_a_server_are_not_reused(server, evalkit_command, task_folder, tmp_path):
    (task,) = toys(task_folder, "toy_answer")
    done = evalkit_command(
        "run",
        "--model",
        f"openai:{server.url}#tiny",
        "--tasks",
        task,
        "--store",
        tmp_path,
        "--reuse",
    )
    assert done.code == 2
    assert "--reuse needs a checkpoint" in done.err


@pytest.fixture(scope="module")
def transformers_serve(checkpoint, tmp_path_factory):
    """transformers' own server, with the tiny checkpoint."""
    port = free_port()
    command = Path(sys.executable).with_name("transformers")
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [command, "serve", checkpoint, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        for _ in range(240):
            if process.poll() is not None:
                raise RuntimeError(log.read_text()[-2000:])
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.5)
        yield f"openai:http://127.0.0.1:{port}/v1#{checkpoint}"
    finally:
        process.terminate()
        process.wait()


def test_transformers_own_server_gives_the_local_engines_texts(
    transformers_serve, checkpoint, task_folder, tmp_path
):
    tasks = toys(task_folder, "toy_answer")
    local = evalkit.run(str(checkpoint), tasks, store=str(tmp_path), device="cpu")
    served = evalkit.run(transformers_serve, tasks, store=str(tmp_path), name="served")
    assert scores(served) == scores(local)
    ours, theirs = (
        evalkit.load_samples(tmp_path, run.manifest.run_id, "toy_answer") for run in (local, served)
    )
    assert [list(r) for r in ours.responses] == [list(r) for r in theirs.responses]
    assert json.dumps(served.summary())
