"""An OpenAI-compatible server on loopback that answers with a checkpoint, and can misbehave.

The figures come from transformers' plain forward pass and `generate`, not from evalkit's engine.
"""

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

FAULTS = ("429", "500", "cut", "garbage", "empty", "slow")
STALL_S, REFUSED_S = 3.0, 1.0


class Model:
    """A checkpoint, asked one request at a time."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.lock = threading.Lock()

    @torch.inference_mode()
    def generate(self, body):
        ids = self.tokenizer(body["prompt"], return_tensors="pt").input_ids
        with self.lock:
            made = self.model.generate(
                ids,
                max_new_tokens=body["max_tokens"],
                do_sample=False,
                pad_token_id=0,
                stop_strings=body.get("stop"),
                tokenizer=self.tokenizer,
            )
        tokens = made[0, ids.shape[1] :].tolist()
        return tokens, self.tokenizer.decode(tokens, skip_special_tokens=True), ids.shape[1]

    @torch.inference_mode()
    def echo(self, prompt):
        found = self.tokenizer(prompt, return_tensors="pt", return_offsets_mapping=True)
        ids = found.input_ids[0]
        with self.lock:
            logs = self.model(ids[None]).logits[0].float().log_softmax(-1)
        starts = [int(start) for start, _ in found.offset_mapping[0]]
        pieces = [prompt[a:b] for a, b in zip(starts, [*starts[1:], len(prompt)], strict=True)]
        values, tops = [None], [None]
        for place, token in enumerate(ids.tolist()[1:]):
            best = int(logs[place].argmax())
            own = pieces[place + 1]
            values.append(float(logs[place, token]))
            tops.append({own if best == token else f"<{best}>": float(logs[place, best])})
        last = self.tokenizer.decode([int(logs[-1].argmax())])
        return {
            "tokens": [*pieces, last],
            "token_logprobs": [*values, float(logs[-1].max())],
            "top_logprobs": [*tops, {last: 0.0}],
            "text_offset": [*starts, len(prompt)],
        }


class Server:
    """What the server does, and what it was asked.

    Attributes:
        faults: Kinds of fault, one for each first asking of a prompt, in turn.
        wait_s: Pause before the first token.
        step_s: Pause before each further token of a stream.
        most_tokens: More than so many are not streamed, whatever was asked.
        together: Tokens of a piece of a stream.
        strict: Whether options of a stream are refused.
        begins_with: Special token in front of an echoed prompt, counted along in the places of the
            others, as vLLM does.
        key: What the client has to send, if anything.
        asked: Prompt -> times it was asked.
        arrived: When each request came, on the monotonic clock.
        most: Most requests under way at a time.
        thoughts: Pieces of thought before a streamed answer, which count as tokens.
        connections: How many were opened.
    """

    def __init__(self, model):
        self.model = model
        self.faults, self.wait_s, self.step_s = [], 0.0, 0.0
        self.key, self.logprobs, self.most_tokens = None, True, None
        self.begins_with, self.together, self.strict = None, 1, False
        self.asked, self.arrived, self.most, self.now = Counter(), [], 0, 0
        self.connections, self.thoughts = 0, ()
        self.lock = threading.Lock()
        self.url = ""

    def fault(self, prompt):
        with self.lock:
            self.asked[prompt] += 1
            if not self.faults or self.asked[prompt] > 1:
                return None
            kind = self.faults[0]
            self.faults = [*self.faults[1:], kind]
            return kind


def handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if server.key and self.headers["Authorization"] != f"Bearer {server.key}":
                return self.send(401, {"error": {"message": "no such key"}})
            with server.lock:
                server.arrived.append(time.monotonic())
                server.now += 1
                server.most = max(server.most, server.now)
            try:
                return self.answer(body)
            finally:
                with server.lock:
                    server.now -= 1

        def answer(self, body):
            is_chat = self.path.endswith("/chat/completions")
            if is_chat:
                body["prompt"] = body["messages"][-1]["content"]
            fault = server.fault(body["prompt"])
            if fault == "429":
                return self.send(429, {"error": {"message": "slow down"}}, retry_after="0")
            if fault == "slow 500":
                time.sleep(REFUSED_S)
            if fault in ("500", "slow 500"):
                return self.send(500, {"error": {"message": "out of order"}})
            if fault == "garbage":
                return self.raw(200, b"<html>not json at all", "application/json")
            if fault == "empty":
                return self.send(200, {"object": "text_completion", "choices": []})
            time.sleep(0.2 if fault == "slow" else server.wait_s)
            if body.get("echo"):
                return self.echo(body)
            tokens, text, before = server.model.generate(body)
            if body.get("stream"):
                usage = body.get("stream_options", {}).get("include_usage")
                if usage and server.strict:
                    return self.send(422, {"error": {"message": "no such field: stream_options"}})
                return self.stream(tokens[: server.most_tokens], is_chat, fault, usage)
            choice = {"index": 0, "finish_reason": "stop"}
            choice |= (
                {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
            )
            usage = {"prompt_tokens": before, "completion_tokens": len(tokens)}
            usage["total_tokens"] = before + len(tokens)
            return self.send(
                200, {"id": "x", "choices": [choice], "usage": usage}, cut=fault == "cut"
            )

        def echo(self, body):
            details = server.model.echo(body["prompt"])
            text = "".join(details["tokens"])
            if server.begins_with:
                begin_with(server.begins_with, details)
            if not server.logprobs:
                details, text = None, "x"
            choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": details}
            self.send(200, {"id": "x", "choices": [choice]})

        def event(self, content):
            self.chunk(f"data: {json.dumps({'id': 'x', **content})}\n\n")

        def chunk(self, text):
            self.wfile.write(f"{len(text.encode()):x}\r\n{text}\r\n".encode())
            self.wfile.flush()

        def stream(self, tokens, is_chat, fault, usage):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            cut = fault in ("cut", "stall")
            shown = tokens[: len(tokens) // 2] if cut else tokens
            size = server.together
            pieces = [shown[place : place + size] for place in range(0, len(shown), size)]
            for thought in server.thoughts:
                delta = {"reasoning_content": thought}
                self.event({"choices": [{"index": 0, "finish_reason": None, "delta": delta}]})
                time.sleep(server.step_s)
            for number, piece in enumerate(pieces):
                time.sleep(server.step_s if number else 0.0)
                text = server.model.tokenizer.decode(piece) or "?"
                part = {"delta": {"content": text}} if is_chat else {"text": text}
                end = "stop" if not cut and number == len(pieces) - 1 else None
                self.event({"choices": [{"index": 0, "finish_reason": end, **part}]})
            if not pieces:
                part = {"delta": {}} if is_chat else {"text": ""}
                self.event({"choices": [{"index": 0, "finish_reason": "stop", **part}]})
            if usage and not cut:
                told = {"prompt_tokens": 7, "completion_tokens": len(tokens), "total_tokens": 0}
                self.event({"choices": [], "usage": told})
            if not cut:
                self.chunk("data: [DONE]\n\n")
                self.chunk("")
            time.sleep(STALL_S if fault == "stall" else 0.0)
            self.close_connection = cut

        def send(self, code, content, retry_after=None, cut=False):
            self.raw(code, json.dumps(content).encode(), "application/json", retry_after, cut)

        def raw(self, code, content, kind, retry_after=None, cut=False):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut else content)
            self.close_connection = cut

    return Handler


def begin_with(token, details):
    """Put a special token first, and make places of lengths."""
    details["tokens"].insert(0, token)
    for name in ("token_logprobs", "top_logprobs"):
        details[name].insert(0, None)
    lengths = [len(each) for each in details["tokens"]]
    details["text_offset"] = [sum(lengths[:place]) for place in range(len(lengths))]


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def process_request(self, request, client_address):
        self.model_server.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request, client_address):
        """A fault of the model ends the connection; the console is the tests' own."""


@contextmanager
def serving(model):
    """A server on a free port of loopback."""
    server = Server(model)
    http = QuietServer(("127.0.0.1", 0), handler(server))
    http.model_server = server
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
