"""The error tree: what it says, and that it survives pickling."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import copykit
from copykit import CopywritingInput
from copykit.accel import registry
from copykit.brief import catalog
from copykit.caching.registry import cache_from
from copykit.drafts.measure import measure
from copykit.errors import (
    AllProvidersCooling,
    AuthenticationFailed,
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContentRefused,
    ContextTooLong,
    CopykitError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    MalformedCompletion,
    MissingExtra,
    ModelNotFound,
    NoProviderSucceeded,
    OutputRejected,
    Overloaded,
    ProviderError,
    ProviderQuotaError,
    ProviderTimeout,
    ProviderTLSError,
    ProviderUnavailable,
    RateLimited,
    TruncatedStream,
    counted,
    nearest_names,
)
from copykit.feeds.mapping import ColumnMap, override
from copykit.models import Attempt
from copykit.providers.registry import load_provider
from copykit.settings import CacheSettings, Settings

ERRORS = [
    InvalidRequest("tone", "hapy", "unknown tone", nearest=["happy"], request_id="r1"),
    ConfigurationError(["a is wrong", "b is wrong"]),
    MissingExtra("similarity", "numba", "fast"),
    ProviderTimeout("late", target="fake", after_s=3.0),
    MalformedCompletion("no copy", target="fake", excerpt="x" * 600),
    MalformedCompletion("nothing", target="fake", empty=True),
    ProviderError("bad request", target="fake", status=400, retryable=False),
    ProviderUnavailable("down", target="fake", status=503, retry_after_s=2.0),
    ProviderTLSError("expired", target="fake"),
    TruncatedStream("no end", target="fake"),
    RateLimited("slow down", target="fake", status=429, retry_after_s=3.5),
    ProviderQuotaError("no money", target="fake", status=402),
    AuthenticationFailed("no", target="fake", status=401),
    ModelNotFound("no model", target="fake", status=404),
    ContextTooLong("too long", target="fake", status=400),
    ContentRefused("refused", target="fake", category="SAFETY"),
    CircuitOpen("open", retry_after_s=5.0),
    AllProvidersCooling("all cool", retry_after_s=1.0),
    Overloaded(5, 4, retry_after_s=1.0),
    BudgetExceeded(1.0, 0.99, 0.02, scope="key's budget"),  # a caller's own, whose figures it may know
    DeadlineExceeded(2.0),
    InternalError(KeyError("choices")),
    NoProviderSucceeded([Attempt(target="fake", outcome="provider_failed", reason="down")]),
    OutputRejected([]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_errors_pickle_with_all_they_carry(error: CopykitError) -> None:
    """A round trip keeps type, message and every attribute."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_an_invalid_request_is_also_a_value_error() -> None:
    """Callers may catch the built-in class; the message names field, value, rule and the nearest choice."""
    assert isinstance(ERRORS[0], ValueError)
    assert str(ERRORS[0]) == "tone='hapy': unknown tone; nearest: happy"


def test_a_missing_extra_holds_the_exact_pip_line() -> None:
    """And is an ImportError."""
    assert isinstance(ERRORS[2], ImportError)
    assert 'pip install "copykit[fast]"' in str(ERRORS[2])


@pytest.mark.parametrize(
    ("wanted", "known", "near"),
    [
        ("ORJSN", ["json", "orjson"], ("orjson", "json")),
        ("klingon", ["italiano", "filipino", "english"], ()),
        ("engl" + "x" * 100_000, ["english"], ()),
        ("", ["english"], ()),
    ],
)
def test_the_nearest_names_are_near_or_none(wanted: str, known: list[str], near: tuple[str, ...]) -> None:
    """Only what may have been meant is proposed; one bound serves every message of the package."""
    assert nearest_names(wanted, known) == near


def test_a_spelling_is_answered_with_the_name_it_stands_for() -> None:
    """Each name once, whatever number of its spellings is near."""
    aliases = {"happy": "playful", "happyish": "playful", "chatty": "casual"}
    assert nearest_names("hapyy", aliases, meaning=aliases) == ("playful",)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: catalog.language("klingon"),
        lambda: catalog.tone("xyzzyx"),
        lambda: catalog.placement("zzzzzz"),
        lambda: load_provider("zzzzzz"),
        lambda: measure("a", "zz"),
        lambda: registry.probe("zzzzzz"),
        lambda: Settings.from_env({"COPYKIT_ZZZZ": "1"}),
        lambda: cache_from(CacheSettings(url="zzzz://")),
        lambda: override(ColumnMap((), (), ("title", "text")), ["name=zzzz"]),
    ],
)
def test_no_name_is_proposed_where_none_is_near(refused: Callable[[], object]) -> None:
    """A far guess would send the reader the wrong way."""
    with pytest.raises(CopykitError) as caught:
        refused()
    assert "nearest" not in str(caught.value)


def test_an_excerpt_is_short() -> None:
    """At most 500 characters of a model's answer travel in an error."""
    assert len(ERRORS[4].excerpt) == 500  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "password", ["hunter2", "hunter2/x", "x#hunter2", "hunter2?", "hun@hunter2", "hunter2 ü\n"]
)
@pytest.mark.parametrize(
    "refused",
    [
        lambda text: CacheSettings(url=[f"redis://:{text}@host/0"]),  # type: ignore[arg-type]
        lambda text: cache_from(CacheSettings(url=f"cash://:{text}@host/0")),
        lambda text: cache_from(CacheSettings(url=f"cash:{text}@host/0{'x' * 300}")),
        lambda text: Settings.from_env({"MAX_WORKERS": f"redis://u:{text}@host"}),
        lambda text: Settings.from_env({"OPENAI_BASE_URL": f"https://u:{text}@host/v1"}),
        lambda text: Settings.from_env({"OPENAI_BASE_URL": f"u:{text}@host/v1"}),
    ],
)
def test_a_password_in_an_address_is_not_told(refused: Callable[[str], object], password: str) -> None:
    """Whatever is wrong with the address or with where it stands, and whatever letters the password has."""
    with pytest.raises(CopykitError) as caught:
        refused(password)
    assert "hunter2" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tonne": "x"}, "tonne='x': unknown field; nearest: tone"),
        ({"variants": 0}, "variants=0"),
        ({"variants": 21}, "variants=21"),
        ({"creativity_level": 1.1}, "creativity_level=1.1"),
        ({"key_points": [1]}, "key_points"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"cache": "maybe"}, "cache"),
    ],
)
def test_a_bad_request_says_which_field_and_why(fields: dict[str, object], told: str) -> None:
    """Unknown names, wrong types and values out of range all become InvalidRequest."""
    with pytest.raises(InvalidRequest) as caught:
        CopywritingInput(product_description="Oak desk", target_platform="x", **fields)  # type: ignore[arg-type]
    assert told in str(caught.value)


@pytest.mark.parametrize("read", [lambda fields: CopywritingInput(**fields), CopywritingInput.of_json])
@pytest.mark.parametrize(
    ("fields", "told", "nearest"),
    [
        (
            {"product_descripton": "Oak desk", "target_platform": "x"},
            "product_descripton='Oak desk': unknown field, while product_description is missing",
            "product_description",
        ),
        (
            {"product_description": "Oak desk", "platform": "x"},
            "platform='x': unknown field, while target_platform is missing",
            "target_platform",
        ),
        ({"prompt": "x"}, "while product_description and target_platform are missing", None),
        ({"target_platform": "x", "variants": 0, "tonne": "x"}, "tonne='x': unknown field", "tone"),
    ],
)
def test_a_misspelt_name_is_told_before_the_field_that_it_leaves_missing(
    read: Callable[[dict[str, object]], object], fields: dict[str, object], told: str, nearest: str | None
) -> None:
    """Who misspells a required field learns of the name that was sent, from Python and from JSON alike."""
    with pytest.raises(InvalidRequest) as caught:
        read(fields)
    assert told in str(caught.value)
    assert caught.value.nearest[:1] == (() if nearest is None else (nearest,))


def test_a_missing_field_is_named() -> None:
    """Leaving out what is sold is told by name."""
    with pytest.raises(InvalidRequest, match="product_description"):
        CopywritingInput(target_platform="x")


def test_a_count_and_its_noun_agree() -> None:
    """One item, two items; no item is many, and thousands are parted."""
    assert [counted(n, "item") for n in (0, 1, 2, 1200)] == ["0 items", "1 item", "2 items", "1,200 items"]


def test_no_message_writes_a_count_beside_a_plural_by_itself() -> None:
    """What findings and remarks say of a number of things goes through `counted`."""
    nouns = "items|hashtags|links|exclamation marks|variants|rows|headlines|descriptions|figures"
    bare = re.compile(rf"(?:count|total|\blen\([^{{}}]*\))\}} (?:{nouns})\b")
    source = Path(copykit.__file__).parent
    found = [
        f"{path.name}: {line.strip()}"
        for folder in ("drafts", "brief", "cli", "feeds")
        for path in sorted((source / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if bare.search(line) and "prompt" not in path.name
    ]
    assert found == []
