"""The page for everybody: axe-core's rules, the keyboard, small screens, colours, reduced motion."""

import itertools
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import SOUNDS
from tests.page.browser import OpenPage, Visit
from tests.page.node import PAGE

FILE = SOUNDS / "slow-soft.wav"
SCHEMES = ("light", "dark")
# What a colour becomes for people who lack one kind of cone (Machado et al., 2009, severity 1), in linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
DIFFERENT = 0.08  # in OKLab; neighbours of the usual palettes of eight colours are at 0.01 to 0.05


@pytest.fixture(scope="session")
def axe(build: ModuleType) -> str:
    """The script of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm isn't installed")
    try:
        folder = build.installed(build.ROOT / "build" / "page-tests", Path(__file__).with_name("package.json"))
    except build.BuildError as error:
        pytest.skip(str(error))
    script: str = (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
    return script


def violations(visit: Visit, axe: str) -> list[Any]:
    """Each rule of axe-core that the page breaks, with the elements."""
    visit.page.wait_for_timeout(500)  # what fades is there
    visit.page.evaluate(axe)
    found = visit.page.evaluate("async () => (await axe.run()).violations")
    return [(each["id"], each["impact"], [node["html"] for node in each["nodes"]]) for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_fault(hosts: dict[str, str], visit: OpenPage, axe: str, scheme: str) -> None:
    page = visit(hosts["small"], color_scheme=scheme).ready()
    assert violations(page, axe) == []
    page.classify(FILE)
    assert violations(page, axe) == []
    page.listen()
    page.page.locator("#live summary").click()
    assert violations(page, axe) == []


@pytest.mark.slow
def test_a_file_is_opened_and_played_with_the_keyboard(hosts: dict[str, str], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    page = visit(hosts["small"]).ready()
    keys, focused = page.page.keyboard, page.page.locator(":focus")
    keys.press("Tab")
    expect(focused).to_have_text("Skip to the answers")
    keys.press("Tab")
    expect(focused).to_have_id("microphone")
    keys.press("Tab")
    expect(focused).to_have_id("open")
    with page.page.expect_file_chooser() as chooser:
        page.page.evaluate("0")  # it is waited for in the browser, too, when this is done
        keys.press("Enter")
    chooser.value.set_files(FILE)
    expect(page.page.locator("#moment")).to_have_text("The whole recording", timeout=60_000)
    keys.press("Tab")
    expect(focused).to_have_role("slider")
    keys.press("ArrowRight")
    expect(focused).to_have_attribute("aria-valuenow", "1.0")
    expect(focused).to_have_attribute("aria-valuetext", re.compile(r"00:01\.0, \w+"))
    expect(page.page.locator("#moment")).to_have_text("At 00:01.0")
    keys.press("End")
    expect(focused).to_have_attribute("aria-valuenow", "3.3")
    keys.press("Home")
    keys.press("Space")
    expect(page.page.locator("#play")).to_have_attribute("aria-label", "Pause")
    keys.press("Space")
    expect(page.page.locator("#play")).to_have_attribute("aria-label", "Play")
    page.page.locator("#file-segments button").first.focus()
    keys.press("Enter")
    expect(page.page.locator("#play")).to_have_attribute("aria-label", "Pause")


@pytest.mark.slow
def test_answers_are_announced(hosts: dict[str, str], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    page = visit(hosts["small"]).ready()
    label = page.classify(FILE)
    expect(page.page.get_by_role("status")).to_have_text(re.compile(rf"{FILE.name}: {label} \d+ %"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(hosts: dict[str, str], visit: OpenPage, width: int) -> None:
    page = visit(hosts["small"], viewport={"width": width, "height": 800}).ready()
    page.classify(FILE)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    page.listen()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 700, 1_024, 1_279, 1_280])
def test_dropping_is_offered_where_there_is_a_mouse(hosts: dict[str, str], visit: OpenPage, width: int) -> None:
    from playwright.sync_api import expect

    size = {"width": width, "height": 800}
    expect(visit(hosts["small"], viewport=size).ready().page.locator("#open .hint")).to_be_visible()
    phone = visit(hosts["small"], viewport=size, has_touch=True, is_mobile=True).ready()
    expect(phone.page.locator("#open .hint")).to_be_hidden()


@pytest.mark.slow
def test_what_shows_where_to_drop_covers_the_window(hosts: dict[str, str], visit: OpenPage) -> None:
    page = visit(hosts["small"], viewport={"width": 1_400, "height": 700}).ready()
    page.page.evaluate("document.body.dispatchEvent(new DragEvent('dragenter', { bubbles: true }))")
    assert page.page.locator("#drop").bounding_box() == {"x": 0, "y": 0, "width": 1_400, "height": 700}


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1_280])
def test_a_list_that_goes_on_ends_within_a_row(hosts: dict[str, str], visit: OpenPage, width: int) -> None:
    page = visit(hosts["small"], viewport={"width": width, "height": 800}).ready()
    page.classify(FILE)
    cut = page.page.evaluate("""() => {
        const list = document.getElementById("file-segments");
        for (let i = 0; i < 20; i++) list.append(list.firstChild.cloneNode(true));
        const end = list.getBoundingClientRect().bottom;
        const rows = [...list.children].map((row) => row.getBoundingClientRect());
        return rows.map(({ top, bottom }) => (end - top) / (bottom - top)).find((part) => part < 1);
    }""")
    assert 0.3 <= cut <= 0.7


@pytest.mark.slow
def test_a_dropped_file_is_classified(hosts: dict[str, str], visit: OpenPage) -> None:
    from playwright.sync_api import expect

    page = visit(hosts["small"]).ready()
    drop = """async (bytes) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(bytes)], "dropped.wav"));
        const settings = { dataTransfer: transfer, bubbles: true, cancelable: true };
        for (const kind of ["dragenter", "dragover", "drop"]) {
            document.body.dispatchEvent(new DragEvent(kind, settings));
        }
    }"""
    page.page.evaluate(drop, list(FILE.read_bytes()))
    expect(page.page.locator("#moment")).to_have_text("The whole recording", timeout=60_000)
    expect(page.page.locator("#recording-title")).to_have_text("dropped.wav")
    expect(page.page.locator("#drop")).to_be_hidden()


@pytest.mark.slow
def test_nothing_moves_where_motion_is_reduced(hosts: dict[str, str], visit: OpenPage) -> None:
    page = visit(hosts["small"], reduced_motion="reduce").ready()
    page.listen()
    assert page.page.evaluate("getComputedStyle(document.querySelector('.track i')).transitionDuration") == "0s"
    picture = "document.getElementById('live-roll').toDataURL()"
    pictures = {page.page.evaluate(picture) for _ in range(5)}
    assert len(pictures) <= 2  # a window may have come


def colours() -> list[dict[str, npt.NDArray[np.float64]]]:
    """For each scheme the custom properties of the style that are colours, in linear RGB."""
    light, dark = (PAGE / "style" / "base.css").read_text("utf-8").split("@media (prefers-color-scheme: dark)")
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]
    return [{name: linear(value) for name, value in scheme.items()} for scheme in found]


def linear(value: str) -> npt.NDArray[np.float64]:
    parts = np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def oklab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ottosson's colour space, in which distances are about as large as they look."""
    cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]]
    opponents = [[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    lab: npt.NDArray[np.float64] = np.array(opponents) @ np.cbrt(np.array(cones) @ rgb.clip(0, 1))
    return lab


def contrast(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """As WCAG defines it, 1 to 21."""
    dark, light = sorted(float(each @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", range(2), ids=SCHEMES)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_colours_of_labels_can_be_told_apart(scheme: int, blindness: str) -> None:
    seen = {name: oklab(np.array(BLINDNESS[blindness]) @ colours()[scheme][f"label-{name}"]) for name in range(8)}
    pairs = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert min(pairs.values()) >= DIFFERENT, min(pairs, key=lambda pair: pairs[pair])


@pytest.mark.parametrize("scheme", range(2), ids=SCHEMES)
def test_texts_and_bars_stand_out_from_the_ground(scheme: int) -> None:
    named = colours()[scheme]
    for ground, text in itertools.product(("card", "ground"), ("text", "soft", "accent")):
        assert contrast(named[ground], named[text]) >= 4.5, (ground, text)
    assert contrast(named["accent"], named["on-accent"]) >= 4.5
    assert contrast(named["problem-ground"], named["problem"]) >= 4.5
    for name in [*(f"label-{i}" for i in range(8)), "fine", "loud"]:
        assert contrast(named["card"], named[name]) >= 3, name


def test_the_page_names_no_other_address() -> None:
    for path in PAGE.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://", text), path.name
