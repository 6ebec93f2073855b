"""What a scenario file may say: pydantic models, strict, with a description of every key.

Keys carry units in their values (`duration: 30s`, `rate: 5/s`); attributes carry them in their names
(`duration_s`, `rate_rps`). The JSON Schema of these models is `scenarios/schema.json`.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    model_validator,
)

from scenarios.field_types import (
    DEFAULT_DURATION_S,
    DEFAULT_MAX_TOKENS,
    MANGAASSIST,
    MAX_STAGES,
    SINGLE_PROMPT,
    Api,
    Burstiness,
    CostLimit,
    Count,
    DurationRangeS,
    DurationS,
    Factor,
    Latency,
    LoadModel,
    Name,
    ObjectiveEntry,
    Pattern,
    Process,
    PromptSize,
    RateRps,
    Region,
    RegionPrefix,
    RetryPolicyName,
    ServiceTier,
    Share,
    SpawnRate,
    StageName,
    StartRateRps,
    StepCount,
    Target,
    Traffic,
    Transport,
    Users,
    WaitS,
    Window,
    format_seconds,
)
from scenarios.patterns import DEFAULT_STEPS, MAX_STEPS
from scenarios.request_values import (
    MAX_METADATA_ENTRIES,
    MAX_STOP_SEQUENCES,
    check_metadata,
    check_stop_sequences,
)


class Section(BaseModel):
    """A mapping of the scenario file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class Shape(Section):
    """What one stretch of the open loop's load is like; what is left out follows from the rest."""

    pattern: Pattern | None = Field(None, description="Shape of the rate over the duration (docs/load.md).")
    process: Process | None = Field(None, description="Spacing of arrivals around the rate.")
    burstiness: Burstiness | None = Field(
        None, description="Of the process gamma: 1 is Poisson, below it arrivals cluster, above it they even out."
    )
    rate_rps: RateRps | None = Field(
        None,
        alias="rate",
        description="Arrivals, like 5/s or 300/min: the mean of burst and production, the baseline of a spike, "
        "the end of ramp and steps.",
    )
    duration_s: DurationS | None = Field(
        None, alias="duration", description="Measured time, like 1m; a replay's is that of its trace, or shorter."
    )
    start_rate_rps: StartRateRps | None = Field(
        None, alias="start_rate", description="Where ramp (default 0/s) and steps (default rate / steps) begin."
    )
    steps: StepCount | None = Field(None, description="Number of equal steps up to the rate.")
    step_rates_rps: Annotated[tuple[StartRateRps, ...], Field(max_length=MAX_STEPS)] | None = Field(
        None, alias="step_rates", description="Rates of the steps one by one, instead of rate, start_rate and steps."
    )
    step_duration_s: DurationS | None = Field(
        None, alias="step_duration", description="Time of each step, instead of the duration."
    )
    spike_factor: Factor | None = Field(None, description="Height of a spike, times the rate.")
    spike_window: Window | None = Field(None, description="When the spike is, as shares of the duration.")
    trace: str | None = Field(None, description="File to replay: CSV or JSONL with the time of each message.")
    trace_speed: Factor | None = Field(None, description="How many times as fast a trace is replayed.")


class Stage(Shape):
    """One stretch of a load that has several."""

    name: StageName | None = Field(None, description="Name of its phases in the results.")


class Load(Shape):
    """How much load, in which shape, for how long; or a list of stages, one after the other."""

    model: LoadModel | None = Field(
        None,
        description="open: arrivals follow a schedule whatever the answers do; closed: users wait for their answers. "
        "Follows from rate or users where it is not given.",
    )
    pattern: Pattern = Field("sustained", description="Shape of the rate, or of the users, over the duration.")
    process: Process = Field("poisson", description="Spacing of arrivals around the rate; open loop only.")
    burstiness: Burstiness = Field(
        1.0, description="Of the process gamma: 1 is Poisson, below it arrivals cluster, above it they even out."
    )
    users: Users | None = Field(
        None, description="Users that send, wait, think and send again: closed loop. With a pattern, the most at once."
    )
    duration_s: DurationS | None = Field(
        None, alias="duration", description="Measured time of a cell, like 1m (default), or that of a trace."
    )
    warmup_s: WaitS = Field(0.0, alias="warmup", description="Time before it that is sent but not measured.")
    steps: StepCount = Field(DEFAULT_STEPS, description="Number of equal steps up to the rate, or to all users.")
    spike_factor: Factor = Field(10.0, description="Height of a spike, times the baseline.")
    spike_window: Window = Field((0.4, 0.6), description="When the spike is, as shares of the duration.")
    trace_speed: Factor = Field(1.0, description="How many times as fast a trace is replayed.")
    stages: Annotated[tuple[Stage, ...], Field(max_length=MAX_STAGES)] = Field(
        (), description="Stretches of load one after the other, behind one warm-up: instead of pattern and rate."
    )
    think_time_s: DurationRangeS = Field(
        (0.5, 1.5), alias="think_time", description="Pause of a user between answers; closed loop only."
    )
    spawn_rate_rps: SpawnRate = Field(
        10.0, alias="spawn_rate", description="Users started a second; closed loop only. Unmeasured (ramp)."
    )
    max_lag_s: DurationS = Field(
        1.0, alias="max_lag", description="An arrival that no slot takes within this is dropped and counted; open loop."
    )
    max_slots: Users | None = Field(
        None, description="Slots that the open loop may grow to while arrivals wait; default ten times the plan's."
    )
    drain_timeout_s: WaitS = Field(
        30.0, alias="drain_timeout", description="How long calls in flight may finish at the end of a cell."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_duration(cls, values: Any) -> Any:
        """A minute, unless a trace or stages say how long."""
        if not isinstance(values, dict) or {"duration", "trace", "stages", "step_duration"} & values.keys():
            return values
        return values | {"duration": format_seconds(DEFAULT_DURATION_S)}


def with_stages(load: Any) -> Any:
    """The section `load` of a list of stages, which is the short form of `stages`."""
    return {"stages": load} if isinstance(load, list | tuple) else load


class ExtraCell(Shape):
    """One cell beside the cross product; what it leaves out is the first value of each dimension, and `load`."""

    model_id: str | None = Field(
        None, description="Model instead of the suite's model or routing: base model id, or ARN (ARN=model)."
    )
    routing: str | None = Field(None, description="Routing of the mix instead of the suite's.")
    api: Api | None = Field(None, description="Bedrock operation.")
    region: Region | None = Field(None, description="AWS region to call.")
    region_prefix: RegionPrefix | None = Field(None, description="Inference profile prefix, or none.")
    service_tier: ServiceTier | None = Field(None, description="Service tier to ask for.")
    prompt_size: PromptSize | None = Field(None, description="Prompt size, or mixed.")
    users: Users | None = Field(None, description="Users: makes this cell closed loop.")
    warmup_s: WaitS | None = Field(None, alias="warmup", description="Unmeasured time before it.")
    max_tokens: Count | None = Field(None, description="Most output tokens of an answer.")


class Matrix(Section):
    """Dimensions; a cell for each combination. A dimension left out has one value, that of `load` or a default."""

    region_prefixes: tuple[RegionPrefix, ...] = Field(
        ("us",), min_length=1, description="Inference profile prefixes; none is the base model id."
    )
    service_tiers: tuple[ServiceTier, ...] = Field(
        ("default",), min_length=1, description="Service tiers to ask for. Refused combinations are skipped."
    )
    prompt_sizes: tuple[PromptSize, ...] = Field(
        ("medium",), min_length=1, description="Prompt sizes; mixed draws sizes as the mix's users send them."
    )
    user_counts: tuple[Users, ...] = Field((), description="Numbers of users: closed loop.")
    rates_rps: tuple[RateRps, ...] = Field((), alias="rates", description="Arrival rates: open loop.")
    patterns: tuple[Pattern, ...] = Field((), description="Traffic patterns; replaces load.pattern.")
    models: tuple[str, ...] = Field((), description="Models: base model ids, or ARNs (ARN=model); replaces model_id.")
    apis: tuple[Api, ...] = Field((), description="Bedrock operations; replaces api.")
    regions: tuple[Region, ...] = Field((), description="AWS regions to call.")
    include: tuple[ExtraCell, ...] = Field((), description="Cells to run beside the cross product.")


class Order(Section):
    """In which order cells run, how often, and with which pauses (docs/running.md)."""

    shuffle: Annotated[bool, Strict()] = Field(
        True, description="Whether cells run in an order drawn by the seed, so that drift favours none of them."
    )
    rounds: Annotated[int, Strict(), Field(ge=1, le=100)] = Field(
        1, description="How often the suite is repeated; cells of later rounds are named <cell>-round2, ..."
    )
    cool_down_s: WaitS = Field(
        0.0, alias="cool_down", description="Pause between cells, like 60s for quota windows to pass."
    )
    parallel_cells: Annotated[int, Strict(), Field(ge=1, le=32)] = Field(
        1, description="How many cells run at once; those that share a model in a region never do."
    )


class Budget(Section):
    """Limits of the whole suite; reaching one stops it with exit code 6 and everything written."""

    max_cost_usd: CostLimit = Field(None, description="Cost in USD, from the tokens seen so far; none for no limit.")
    max_requests: Count | None = Field(None, description="Requests sent, retries too.")
    max_error_rate: Share | None = Field(
        None, description="Share of attempts that fail within error_window; throttled ones are no errors."
    )
    error_window_s: DurationS = Field(30.0, alias="error_window", description="Time over which max_error_rate counts.")
    error_min_requests: Count = Field(20, description="Attempts in the window that it takes to judge.")


class Request(Section):
    """What every request carries beside its prompt (docs/requests.md)."""

    system_file: Annotated[str, StringConstraints(min_length=1)] | None = Field(
        None, description="Text file with the system prompt of every request; results name the file, not the text."
    )
    cache_system: Annotated[bool, Strict()] = Field(
        False, description="Cache point behind the system prompt. Models that cannot cache are skipped."
    )
    latency: Latency | None = Field(
        None, description="optimized where model and region have it; nothing is asked for where it is not given."
    )
    stop_sequences: Annotated[tuple[Annotated[str, Strict()], ...], AfterValidator(check_stop_sequences)] = Field(
        (), max_length=MAX_STOP_SEQUENCES, description="Texts that end an answer."
    )
    metadata: Annotated[dict[str, Annotated[str, Strict()]], AfterValidator(check_metadata)] = Field(
        {}, max_length=MAX_METADATA_ENTRIES, description="Keys and values for the account's invocation logs."
    )

    nonce: Annotated[bool, Strict()] = Field(
        False, description="Begin every request with random digits, so that no prompt cache can answer any of it."
    )

    @model_validator(mode="after")
    def _check(self) -> "Request":
        if self.cache_system and self.system_file is None:
            raise ValueError("cache_system needs a system prompt: give system_file too")
        if self.cache_system and self.nonce:
            raise ValueError("cache_system and nonce contradict each other: give one of them, not both")
        return self


class Retry(Section):
    """Whether failed calls are tried again, by the framework itself: every attempt is a record (docs/retries.md)."""

    policy: RetryPolicyName = Field(
        "none", description="none; standard: which failures, how often and when as the SDK does; fixed: after a delay."
    )
    max_attempts: Count = Field(3, description="Attempts of a message in all, in each round of its regions.")
    delay_s: WaitS = Field(1.0, alias="delay", description="Pause before each retry; fixed only.")


class Failover(Section):
    """Regions by priority; a region that fails is left out for a while (docs/retries.md)."""

    regions: tuple[Region, ...] = Field((), description="Regions, the preferred one first; none for no failover.")
    cool_down_s: DurationS = Field(
        60.0, alias="cool_down", description="How long a failed region is left out at first."
    )
    max_cool_down_s: DurationS = Field(
        600.0, alias="max_cool_down", description="And at most: it doubles from failure to failure."
    )

    @model_validator(mode="after")
    def _check(self) -> "Failover":
        if len(set(self.regions)) != len(self.regions):
            raise ValueError("each region can be named once only")
        if self.cool_down_s > self.max_cool_down_s:
            raise ValueError("cool_down must not be longer than max_cool_down")
        return self


class Scenario(Section):
    """A suite of load tests: what is sent, how much of it, and what it must achieve."""

    name: Name = Field(description="Short name; part of the default results directory.")
    description: str | None = Field(None, description="What this scenario is for, in a sentence or two.")
    target: Target = Field(
        "emulator", description="emulator costs nothing; aws sends paid requests and needs a budget."
    )
    api: Api = Field("converse_stream", description="Bedrock operation.")
    transport: Transport = Field("wire", description="How calls are made.")
    traffic: Traffic | None = Field(
        None,
        description="mangaassist: the production mix over a routing; single_prompt: one size to one model. "
        "Follows from routing or model_id where it is not given.",
    )
    routing: str | None = Field(None, description="Routes of the mix: reference, current, nova or a file.")
    sessions: str | None = Field(
        None, description="Conversations instead of single messages: mangaassist or a file (docs/sessions.md)."
    )
    model_id: str | None = Field(
        None,
        description="One model for all traffic: base model id, or ARN, with =model behind one that does not say which "
        "model it stands for. Prefixes of inference profiles are in matrix.region_prefixes.",
    )
    max_tokens: Count = Field(
        DEFAULT_MAX_TOKENS, description="Most output tokens of an answer; reserved against the quota."
    )
    prompts_file: str | None = Field(None, description="Prompt library instead of prompts.json.")
    request: Request = Field(
        Request.model_validate({}), description="System prompt, prompt cache, latency, stop sequences, metadata."
    )
    load: Annotated[Load, BeforeValidator(with_stages, json_schema_input_type=Load | list[Stage])] = Field(
        Load.model_validate({}), description="The load of each cell; a list is its stages."
    )
    matrix: Matrix = Field(Matrix.model_validate({}), description="Dimensions; a cell for each combination.")
    order: Order = Field(Order.model_validate({}), description="Order of the cells, rounds, pauses.")
    objectives: tuple[ObjectiveEntry, ...] = Field(
        (), description="What must hold, like `ttft_ms p95 < 400ms`; the verdict is made of these."
    )
    budget: Budget = Field(Budget.model_validate({}), description="Limits that stop the suite.")
    retry: Retry = Field(Retry.model_validate({}), description="Retries, off unless a policy is named.")
    failover: Failover = Field(
        Failover.model_validate({}), description="Region failover, off unless regions are named."
    )
    processes: Annotated[int, Strict(), Field(ge=1, le=256)] = Field(1, description="Locust processes per cell.")
    seed: Annotated[int, Strict()] = Field(1, description="Seed of arrivals, messages and the emulator.")
    emulator: dict[str, Any] | None = Field(
        None, description="Configuration of the emulator started for this suite (docs/emulator.md)."
    )

    @property
    def traffic_kind(self) -> str:
        """The traffic, given or following from the routing."""
        return self.traffic or (MANGAASSIST if self.routing else SINGLE_PROMPT)

    @property
    def model_ids(self) -> tuple[str, ...]:
        """Base ids of the model dimension; empty where a routing sends the traffic."""
        return self.matrix.models or ((self.model_id,) if self.model_id else ())


def to_document(section: Section) -> dict[str, Any]:
    """The section as a scenario file writes it: units as text, keys that say nothing left out."""
    return section.model_dump(mode="json", exclude_none=True)
