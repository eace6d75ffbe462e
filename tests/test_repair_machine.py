"""Repair as a machine on a virtual clock: whatever a model answers, few calls, small prompts, and no valid text touched.

``COPYKIT_MACHINE_EXAMPLES=500 pytest tests/test_repair_machine.py`` tries more than a test run has time for.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from copykit import CopywritingInput
from copykit.brief.compile import compile_brief
from copykit.brief.prompt import Prompt, RepairPrompt, build_repair
from copykit.errors import ContentRefused, CopykitError, ProviderTimeout, ProviderUnavailable, TruncatedStream
from copykit.models import Usage
from copykit.providers.base import Completion
from copykit.providers.registry import register_provider, unregister_provider
from copykit.routing.asking import Asking
from copykit.routing.router import Router
from copykit.settings import RoutingSettings, Settings
from copykit.testing import FakeClock
from copykit.writing import Writing, Written

EXAMPLES = int(os.environ.get("COPYKIT_MACHINE_EXAMPLES", "12"))
GOOD = {
    "headlines": ["Norr oak desk", "Oiled oak for your room", "Two drawers in oak", "Made of solid oak", "Order your desk"],
    "descriptions": ["Norr is an oak desk with two drawers and a cable tray. See it.", "Oiled oak and quiet drawers."],
}  # fmt: skip
BRIEF = compile_brief(
    CopywritingInput(
        product_description="Oak desk, oiled by hand, solid oak, with two drawers and a cable tray",
        product_name="Norr",
        target_platform="google_ads.rsa",
    )
)
WRONG = {"price": "Only 99 EUR", "other price": "Now 98 EUR", "long": "x" * 91, "markup": "<p>An oak desk"}
"""Texts that no field may hold, whichever it is."""
FAILURES: dict[str, Callable[[], Exception]] = {
    "refused": lambda: ProviderUnavailable("no", status=500),
    "late": lambda: ProviderTimeout("late"),
    "declined": lambda: ContentRefused("no", category="x"),
    "cut": lambda: TruncatedStream("cut"),
}
LABELS = [f"{name}[{at}]" for name, texts in GOOD.items() for at in range(len(texts))]
WHOLE = st.one_of(
    st.dictionaries(st.sampled_from(LABELS), st.sampled_from(sorted(WRONG)), max_size=4),
    st.sampled_from(["no JSON", *FAILURES]),
)
SINGLE = st.one_of(
    st.lists(st.sampled_from(["good", "good", "same", "missing", *WRONG]), min_size=1, max_size=4),
    st.sampled_from(["extra", "no JSON", "cut in the middle", *FAILURES]),
)
CHOICES = st.fixed_dictionaries({"whole": WHOLE, "singles": st.lists(SINGLE, min_size=2, max_size=2)})


def good(label: str) -> str:
    """Give the text that is right for a label."""
    name, _, index = label.partition("[")
    return GOOD[name][int(index[:-1])]


def rules_of(wanted: object) -> frozenset[str]:
    """Give the ids of the rules that a text asked for again breaks."""
    return frozenset(problem.partition(":")[0] for problem in wanted.problems)


class Scripted:
    """A provider that answers a request and its repairs as it was told, and keeps what it was asked."""

    timeout_s = 5.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.whole: object = {}
        self.singles: list[object] = []
        self.asked: list[Prompt] = []
        self.first: dict[str, list[str]] | None = None
        """The answer to the request, where it was one."""

    def model_of(self, prompt: Prompt) -> str:
        """One model, whatever is asked."""
        return "own"

    async def complete(self, prompt: Prompt) -> Completion:
        """Answer as told."""
        repair = isinstance(prompt, RepairPrompt)
        said = self.singles.pop(0) if repair else self.whole
        self.asked.append(prompt)
        if isinstance(said, str) and said in FAILURES:
            raise FAILURES[said]()
        if said == "no JSON":
            return self._completion('{"variants": [')
        if isinstance(prompt, RepairPrompt):
            return self._completion(self._single(prompt, said))
        self.first = {name: list(texts) for name, texts in GOOD.items()}
        for label, wrong in said.items():
            name, _, index = label.partition("[")
            self.first[name][int(index[:-1])] = WRONG[wrong]
        return self._completion(json.dumps({"variants": [{"fields": self.first}]}))

    def _single(self, prompt: RepairPrompt, said: object) -> str:
        rows = {str(number): good(one.label) for number, one in enumerate(prompt.wanted, 1)}
        if said == "extra":
            return json.dumps({"texts": {**rows, "0": "Zero", "99": "More", "x": "None"}})
        if said == "cut in the middle":
            return json.dumps({"texts": rows})[:-4]
        for at, one in enumerate(prompt.wanted):
            way = said[at % len(said)]
            if way == "missing":
                del rows[str(at + 1)]
            elif way == "same":
                rows[str(at + 1)] = one.text
            elif way in WRONG:
                rows[str(at + 1)] = WRONG[way]
        return json.dumps({"texts": rows})

    def _completion(self, text: str) -> Completion:
        return Completion(text=text, model="own", usage=Usage(input_tokens=10, output_tokens=20))


class RepairStory(RuleBasedStateMachine):
    """Requests to two targets, one after the other, as time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.providers = {name: Scripted(name) for name in ("repair_one", "repair_two")}
        for name, provider in self.providers.items():
            register_provider(name, lambda provider=provider: provider)
        routing = RoutingSettings(tuple(self.providers))
        self.router = Router(Settings(routing=routing), lambda _: None, self.clock, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def teardown(self) -> None:
        """Leave nothing registered."""
        for name in self.providers:
            unregister_provider(name)

    @rule(seconds=st.sampled_from([1.0, 30.0, 600.0]))
    def wait(self, seconds: float) -> None:
        """Let the clock move on."""
        self.clock.advance(seconds)

    @rule(one=CHOICES, two=CHOICES)
    def ask(self, one: dict[str, object], two: dict[str, object]) -> None:
        """Ask once, and hold everything that happened against what is promised."""
        for provider, told in zip(self.providers.values(), (one, two), strict=True):
            provider.whole, provider.singles = told["whole"], list(told["singles"])
            provider.asked, provider.first = [], None
        asking = self.router.begin(BRIEF, tuple(self.providers))
        written = asyncio.run(self._written(asking))
        if written is None:
            assert all(provider.first is None for provider in self.providers.values())
            assert asking.attempts
        else:
            self._is_as_promised(written)
        assert sum(len(provider.asked) for provider in self.providers.values()) <= 4
        for provider in self.providers.values():
            self._asks_little(provider)

    async def _written(self, asking: Asking) -> Written | None:
        try:
            return await Writing(asking, BRIEF).finish()
        except CopykitError:
            return None

    def _asks_little(self, provider: Scripted) -> None:
        """At most two repairs, none for a fault that came back, each as long as its texts need and no longer."""
        repairs = [prompt for prompt in provider.asked if isinstance(prompt, RepairPrompt)]
        assert len(repairs) <= 2
        seen: set[tuple[str, frozenset[str]]] = set()
        for prompt in repairs:
            faults = {(one.label, rules_of(one)) for one in prompt.wanted}
            assert faults
            assert faults.isdisjoint(seen)
            seen |= faults
            assert len(faults) <= len(provider.whole)
            # equal texts of an answer are one, so places move, and a good text may come to stand there twice
            wrong = [one for one in prompt.wanted if rules_of(one) != {"M-12"}]
            assert all(one.text not in GOOD[one.spec.name] for one in wrong)
            alone = build_repair(BRIEF, prompt.wanted, nonce="0" * 16, model=prompt.model)
            assert len(prompt.system + prompt.user) == len(alone.system + alone.user)
            most = sum(len(one.text) + sum(map(len, one.problems)) + 120 for one in prompt.wanted)
            frame = build_repair(BRIEF, prompt.wanted[:1], nonce="0" * 16, model=prompt.model)
            assert len(alone.user) - len(frame.user) <= most

    def _is_as_promised(self, written: Written) -> None:
        """Whoever served: what was valid is as it was, and the status says what became of the rest."""
        provider = self.providers[written.answer.target.partition(":")[0]]
        assert provider.first is not None
        assert isinstance(provider.whole, dict)
        variant = written.variants[0]
        asked = {
            one.label
            for prompt in provider.asked
            if isinstance(prompt, RepairPrompt)
            for one in prompt.wanted
        }
        for name, texts in GOOD.items():  # an item that repeats another is dropped, so places may have moved
            kept = [text for at, text in enumerate(texts) if f"{name}[{at}]" not in provider.whole]
            held = iter(variant.fields[name])
            assert all(text in held for text in kept)
        errors = [v for v in variant.violations if v.severity == "error"]
        repaired = [repair for repair in written.repairs if repair.variant == 0]
        assert variant.status == ("rejected" if errors else "repaired" if repaired else "ok")
        assert all(error.rule and error.message for error in errors)
        assert {error.field.partition("[")[0] for error in errors} <= {
            name for name, status in variant.field_status.items() if status == "rejected"
        }
        assert {repair.field for repair in repaired if repair.how == "asked again"} <= asked
        if not provider.whole:
            assert variant.status == "ok"
            assert variant.fields == GOOD


RepairStory.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=8,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
TestRepairStory = RepairStory.TestCase


def test_a_repeat_is_one_of_the_four_calls() -> None:
    """A request, two repairs of it and a refusal of the next target leave no call for asking that target again."""
    story = RepairStory()
    try:
        wrong = {
            "headlines[0]": "long",
            "headlines[1]": "long",
            "headlines[2]": "other price",
            "descriptions[1]": "price",
        }
        one = {"whole": wrong, "singles": [["good", "long", "long"], ["long"]]}
        story.ask(one=one, two={"whole": "refused", "singles": []})
        assert [len(provider.asked) for provider in story.providers.values()] == [3, 1]
    finally:
        story.teardown()
