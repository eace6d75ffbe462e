"""Group C: answers without the copy that was asked for."""

from __future__ import annotations

from copykit.testing.servers import Received, Step, answer

from .briefs import flagged, held_back, said
from .catalogue import fault
from .providers import answered
from .stage import Stage
from .vendors import COPY, TEXT, VENDORS, Billed, Vendor, billed, copy_of


def refusals(vendor: Vendor) -> list[Billed]:
    """Give the ways in which this vendor's models decline."""
    ways = [billed(answer(json=vendor.document("", stop="refused")), (100, 50))]
    if vendor.name == "google":
        usage = {"promptTokenCount": 100, "candidatesTokenCount": 0}
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}
        ways.append(billed(answer(json=blocked), (100, 0)))
    elif vendor.name != "anthropic":
        document = vendor.document("")
        document["choices"][0]["message"] |= {"content": None, "refusal": "I cannot write that."}
        ways += [billed(answer(json=document), (100, 50)), vendor.fails(400, "content_policy_violation")]
    if vendor.name == "openrouter":
        error = {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}
        ways.append(billed(answer(403, json=error)))
    return ways


@fault("C01", "the model or its filter declines")
async def c01(stage: Stage) -> None:
    for vendor in VENDORS.values():
        second = stage.vendor(besides=vendor)
        for way in refusals(vendor):
            server, sound = await stage.server(way), await stage.server(second.says())
            engine = stage.engine((vendor, server), (second, sound))
            asked = await stage.ask(engine)
            assert (asked.kind, len(server.requests)) == ("ContentRefused", 1), asked.error
            assert len(sound.requests) == 0
            assert stage.of_target(engine, vendor.name)["recent_failures"] == 0
            willing = stage.engine((vendor, server), (second, sound), fall_back_on_refusal=True)
            answered(await stage.ask(willing), second)


PROSE = (
    "I cannot help with that. Please ask for something else.",
    "I'm sorry, but I can't help with that request.",
    "I cannot create this content because it goes against my guidelines.",
    "As an AI language model, I am unable to write marketing copy for this product.",
    "Sorry, I can't assist with that.",
    "I won't be able to write this advertisement.",
)


@fault("C02", "a refusal in prose")
async def c02(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in PROSE:
        for whole in (text, copy_of(text)):
            server = await stage.server(vendor.says(whole))
            asked = await stage.ask(stage.engine((vendor, server)), cache="on", seed=0)
            assert held_back(asked), f"returned as copy: {text}"
            assert len(server.requests) <= 4


@fault("C03", "nothing, or white space", lacks="status 502 (no server yet)")
async def c03(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in ("", "   \n\t ", "\u200b", copy_of(""), copy_of("  ")):
        server = await stage.server(vendor.says(text))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine)
        assert held_back(asked)
        assert 1 <= len(server.requests) <= 4
        if text.strip() == "":
            assert (asked.kind, len(server.requests)) == ("MalformedCompletion", 2)
            assert asked.error.__cause__.code == "empty_output"
        server = await stage.server(vendor.says(text), vendor.says())
        answered(await stage.ask(stage.engine((vendor, server))), vendor)
    assert stage.counted("empty_output") >= 2


@fault("C04", "cut by its length")
async def c04(stage: Stage) -> None:
    vendor = stage.vendor()
    cut = COPY[: stage.random.randrange(20, len(COPY) - 20)]
    for text in (cut, TEXT[:30], copy_of(TEXT[:40])[:-3]):
        server = await stage.server(vendor.says(text, stop="length"))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine, cache="on", seed=0)
        assert asked.kind == "MalformedCompletion", asked.output
        assert asked.error.__cause__.code == "output_invalid"
        before = len(server.requests)
        await stage.ask(engine, cache="on", seed=0)
        assert len(server.requests) > before, "a cut answer came from the cache"
    whole = stage.engine((vendor, await stage.server(vendor.says(stop="length"))))
    answered(await stage.ask(whole), vendor)


OTHER_LANGUAGES = {
    "es": "Norr. Mesa de roble de 120x60 cm con acabado al aceite. Mira hoy mismo todos los detalles de la mesa.",
    "de": "Norr. Der Tisch aus Eiche, 120x60 cm, mit geölter Oberfläche. Sieh dir heute die Einzelheiten an.",
    "ja": "Norr。オーク材のデスク、120x60 cm、オイル仕上げ。今日、詳細をご覧ください。",
    "ar": "مكتب من خشب البلوط مقاس 120x60 سم بلمسة زيتية. اطلع على التفاصيل اليوم.",
}


@fault("C05", "another language")
async def c05(stage: Stage) -> None:
    vendor = stage.vendor()
    for language, text in OTHER_LANGUAGES.items():
        server = await stage.server(vendor.says(copy_of(text)))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert flagged(asked), f"{language} passed as English"
        rules = {v.rule for v in asked.output.variants[0].violations} if asked.output else set()
        assert asked.output is None or rules & {"M-17", "P-ALL-3"}, f"{language}: {rules}"
        assert len(server.requests) <= 4


@fault("C06", "a restriction broken")
async def c06(stage: Stage) -> None:
    vendor = stage.vendor()
    brief = {
        "facts": {"price": "49.90 EUR"},
        "restrictions": ["do not mention the price", "no emojis"],
    }
    for text in (
        "Norr. Oak desk, 120x60 cm, now for 49.90 EUR. See the details.",
        "Norr. Oak desk, 120x60 cm, for only €49.90. See the details.",
        "Norr. Oak desk, 120x60 cm \U0001f600. See the details.",
    ):
        server = await stage.server(vendor.says(copy_of(text)))
        engine = stage.engine((vendor, server))
        asked = await stage.ask(engine, cache="on", **(brief | {"seed": 0}))
        if asked.output is not None and asked.output.variants[0].status != "rejected":
            best = asked.output.variants[0]
            assert best.status == "repaired", f"passed silently: {best.text!r}"
            assert "49" not in best.text
            assert "\U0001f600" not in best.text
        assert len(server.requests) <= 4


@fault("C07", "no JSON, or another number of variants")
async def c07(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in (
        '{"variants": [{"fields": {"headline": "Oak"',
        '{"copy": 12, "done": true}',
        "{'variants': [" * 30,
        '{"variants": []}',
        '{"variants": "none"}',
        "[1, 2, 3]",
    ):
        server = await stage.server(vendor.says(text))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert held_back(asked), (text, asked.output and asked.output.text)
        assert 2 <= len(server.requests) <= 4
        server = await stage.server(vendor.says(text), vendor.says())
        answered(await stage.ask(stage.engine((vendor, server))), vendor)
    for count in (1, 2, 5):
        server = await stage.server(vendor.says(copy_of(TEXT, count)))
        asked = await stage.ask(stage.engine((vendor, server)), variants=3)
        assert asked.output is not None
        assert 1 <= len(asked.output.variants) <= 3
        if len(asked.output.variants) < 3:
            stage.note(f"{count} of 3 variants: {asked.output.info}")


@fault("C08", "endless repetition")
async def c08(stage: Stage) -> None:
    vendor = stage.vendor()
    loop = "Take a look at the desk. "
    for times in (30, 1_000, 60_000):
        for text in (loop * times, copy_of("Norr. Oak desk. " + loop * times)):
            server = await stage.server(vendor.says(text))
            asked = await stage.ask(stage.engine((vendor, server)))
            assert held_back(asked), f"{len(text)} characters of repetition passed"
            if len(text) > 262_144:
                assert asked.kind == "MalformedCompletion"
    for short in (
        "Norr. Oak desk. Take a look. Take a look. Take a look. Take a look. Take a look.",
        "Norr. Oak desk with an oiled surface. Norr. Oak desk with an oiled surface.",
        "Norr is an oak desk and an oak desk and an oak desk and an oak desk.",
    ):
        server = await stage.server(vendor.says(copy_of(short)))
        asked = await stage.ask(stage.engine((vendor, server)))
        assert held_back(asked), f"passed: {asked.output.text!r}"


@fault("C09", "left-over placeholders, echoes of the prompt", lacks="echoes of system text: J03")
async def c09(stage: Stage) -> None:
    vendor = stage.vendor()
    for text in (
        "Norr. Oak desk by [Brand Name], 120x60 cm. See the details.",
        "Norr. Oak desk, {{price}}. See the details.",
        "Norr. Lorem ipsum dolor sit amet. See the details.",
        "Norr. Oak desk, <insert call to action here>.",
        "Norr. Oak desk, TODO: add size. See the details.",
        "Here is your post: Norr. Oak desk, 120x60 cm.",
        "Norr",
        "Norr: Oak desk, 120x60 cm, oiled",
        "product_name: Norr, the oak desk for your room.",
        "Norr is the oak desk for your room. See https://",
        "Norr: says no more than a name: say what it is, what it is for or what it gives",
    ):
        server = await stage.server(vendor.says(copy_of(text)))
        asked = await stage.ask(stage.engine((vendor, server)))
        kept = asked.output is not None and asked.output.text
        clean = kept and asked.output.variants[0].status == "repaired" and text not in kept
        assert held_back(asked) or clean, f"passed: {kept!r}"

    def echo(received: Received) -> Step:
        _, user = said(vendor, received)
        return vendor.says(user)

    asked = await stage.ask(stage.engine((vendor, await stage.server(choose=echo))))
    assert held_back(asked), f"the prompt came back as copy: {asked.output and asked.output.text!r}"
