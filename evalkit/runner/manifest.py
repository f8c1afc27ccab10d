"""The manifest of a run, filled in: which run it is, what answered, on what, with what."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from evalkit.engine.checkpoint import Checkpoint
from evalkit.engine.endpoint import Endpoint
from evalkit.engine.model import AnyEngine
from evalkit.results import Manifest, ModelRecord, TaskRecord
from evalkit.runner.environment import environment
from evalkit.runner.journal import Journal
from evalkit.runner.plan import Plan


@dataclass(frozen=True)
class Origin:
    """Which run it is and how its responses came about; see `Manifest` for the fields.

    Attributes:
        damaged: Records of the journal that could not be believed.
        spent_s: Seconds that earlier processes took over it.
    """

    run_id: str
    created: str
    answered_by: dict[str, str] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    reused: dict[str, int] = field(default_factory=dict)
    damaged: int = 0
    spent_s: float = 0.0

    @classmethod
    def new(cls, plan: Plan, created: datetime) -> "Origin":
        """Of a run that begins and has no journal."""
        return cls(new_run_id(plan, created), timestamp(created))

    @classmethod
    def of(cls, journal: Journal) -> "Origin":
        """Of the run whose journal this is."""
        held = journal.content
        return cls(
            run_id=held.header.run_id,
            created=held.header.created,
            answered_by=held.header.identity,
            resumed=held.resumed,
            damaged=held.damaged,
            spent_s=held.spent_s,
        )

    @property
    def warnings(self) -> list[str]:
        """What a reader of the run has to know."""
        if not self.damaged:
            return []
        return [f"{self.damaged} damaged records of the journal were answered again."]


def timestamp(created: datetime) -> str:
    """ISO 8601, fine enough for runs that begin in one second to keep their order."""
    return created.isoformat(timespec="milliseconds")


def new_run_id(plan: Plan, created: datetime) -> str:
    """Time, name and four random digits."""
    name = plan.settings.name or default_name(plan.checkpoint)
    return f"{created:%Y%m%dT%H%M%S}-{_slug(name)}-{secrets.token_hex(2)}"


def make_manifest(plan: Plan, origin: Origin, duration_s: float, engine: AnyEngine) -> Manifest:
    """The manifest of a finished run."""
    checkpoint = plan.checkpoint
    return Manifest(
        run_id=origin.run_id,
        name=plan.settings.name or default_name(plan.checkpoint),
        created=origin.created,
        duration_s=origin.spent_s + duration_s,
        tags=plan.settings.tags,
        model=ModelRecord(
            name=default_name(plan.checkpoint),
            path=str(checkpoint.path),
            weights_hash=checkpoint.weights_hash,
            tokenizer_hash=checkpoint.tokenizer_hash,
            architecture=checkpoint.architecture,
            parameters=checkpoint.parameters,
            training=checkpoint.training,
        ),
        tasks={
            planned.task.name: TaskRecord(
                family=planned.task.family,
                version=planned.task.version,
                config_hash=planned.task.config_hash,
                data_hash=planned.data_hash,
                prompts_hash=planned.prompts_hash,
                num_fewshot=planned.task.num_fewshot,
                request_kind=planned.documents[0].requests[0].kind,
                documents=len(planned.documents),
                requests=planned.requests,
                source=planned.task.source,
                licence=planned.task.licence,
                details=dict(planned.task.details),
            )
            for planned in plan.tasks
        },
        suites=plan.suites,
        settings=plan.settings.model_dump(mode="json"),
        environment=environment(engine.device) | {"engine": engine.settings},
        answered_by=origin.answered_by,
        resumed=origin.resumed,
        reused=origin.reused,
        warnings=[*engine.warnings, *origin.warnings, *_task_warnings(plan)],
    )


def _task_warnings(plan: Plan) -> list[str]:
    """What YAML tasks have to say of their documents; probes have nothing."""
    tasks = [planned.task for planned in plan.tasks]
    return [text for task in tasks for text in getattr(task, "warnings", ())]


def default_name(checkpoint: Checkpoint | Endpoint) -> str:
    """The folder's name, with its parent's where it only counts steps."""
    if isinstance(checkpoint, Endpoint):
        return checkpoint.name
    path = checkpoint.path
    counts = re.fullmatch(r"(step|checkpoint|epoch)[-_]?\d*", path.name)
    return f"{path.parent.name}-{path.name}" if counts else path.name


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:48] or "run"
