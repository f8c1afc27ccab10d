"""Small tasks for wrappers to wrap."""

from evalkit.types import Decoding, Document, Metric, Request, RequestKind, Sample


class FakeTask:
    """Holds documents, and counts an answer right where it is the likeliest choice."""

    family = "toys"
    licence = None
    source = "tests"
    version = "1"
    num_fewshot = 0
    config_hash = "0"
    metrics = {"acc": Metric()}  # noqa: RUF012

    def __init__(self, name, documents):
        self.name = name
        self._documents = documents

    def documents(self, limit, seed):
        return self._documents[:limit]

    def score(self, documents, responses):
        samples = []
        for document, answers in zip(documents, responses, strict=True):
            values = [answer.loglikelihood for answer in answers]
            answer = document.choices[values.index(max(values))]
            right = float(answer == document.target)
            samples.append(Sample(document, answers, {"acc": (right,)}, answer=answer))
        return samples


def choice_document(task, doc_id, prompt, choices, answer):
    """A multiple-choice document."""
    return Document(
        task=task,
        doc_id=doc_id,
        content={"prompt": prompt, "id": doc_id},
        requests=tuple(Request(RequestKind.LOGLIKELIHOOD, prompt, text) for text in choices),
        target=choices[answer],
        choices=tuple(choices),
    )


def text_document(task, doc_id, prompt):
    """A document to be answered in text."""
    request = Request(RequestKind.GENERATE, prompt, decoding=Decoding(max_new_tokens=16))
    return Document(task, doc_id, {"prompt": prompt}, (request,))
