"""The page about runs: one file, complete, and alive in a browser."""

import json
import os
import re
import shutil
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

from tests.helpers import LIN_SEP
from wnexp import report, runner
from wnexp.runs import status
from wnexp.runs.files import write_table
from wnexp.runs.reader import Run, load

WORDS = {"none": (), "ewn": ("norm=ewn",), "swn": ("norm=swn", "seeds=3")}
ROW = {
    "claim": "C1",
    "norm": "ewn",
    "name": "ewn",
    "predicted": 2.0,
    "low": 1.9,
    "high": float("nan"),
    "tolerance": 0.1,
}
ROW |= {"verdict": "fails", "statement": "of something"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    for name, words in WORDS.items():
        runner.train((*LIN_SEP, *words), folder / name)
    write_table(folder / "verify.parquet", pa.Table.from_pylist([ROW | {"run": str(folder / "ewn")}]))
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return report.write(load([folder]), folder / "page.html")


def test_the_page_holds_what_the_records_do(folder):
    content = report.contents(load([folder]))
    assert [one["label"] for one in content["series"]] == ["norm=none", "norm=swn", "norm=ewn"]
    assert content["settings"] == ["norm"] and len(content["rows"]) == 3
    for one, name in zip(content["series"], ("none", "swn", "ewn"), strict=True):
        steps = Run(folder / name).frame("steps")
        for seed in one["seeds"]:
            own = steps[steps["seed"] == seed["seed"]].sort_values("step")
            columns = seed["columns"]
            for place in (0, -1):
                assert columns["step"][place] == float(f"{own['step'].iloc[place]:.5g}")
                assert columns["normalized_margin"][place] == pytest.approx(
                    own["normalized_margin"].iloc[place], rel=1e-4
                )
        assert len(one["seeds"]) == (3 if name == "swn" else 2)
    record = content["series"][2]["neurons"][-1]
    neurons = Run(folder / "ewn").frame("neurons").query("seed == 0")
    last = neurons[neurons["step"] == neurons["step"].max()]
    np.testing.assert_allclose(sorted(record["norm"]), sorted(last["weight_norm"]), rtol=1e-4)
    ends = [one["neurons"][-1]["log_loss"] for one in content["series"]]
    assert content["levels"][content["level"]] == max(ends), "where all series have come to"
    assert content["levels"] == sorted(content["levels"], reverse=True)
    assert content["verdicts"] == [["C1", "ewn", "ewn", 2.0, 1.9, None, 0.1, "fails", "of something"]]
    assert content["facts"]["runs"].startswith("3, 7 seeds")


def test_the_page_needs_no_network_and_hides_no_markup(page, tmp_path):
    text = page.read_text("utf-8")
    own = re.sub(r"<script>.*?</script>", "", text, count=1, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", own) and len(text) < 6e6
    content = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1].replace("<\\/", "</"))
    evil = report.render(content | {"title": "</title><script>alert(1)</script>", "made": "</script><b>"})
    assert "<script>alert" not in evil and "</script><b>" not in evil


def test_three_norms_of_sixteen_seeds_stay_below_six_megabytes(tmp_path):
    runs = [runner.train(("seeds=16", f"norm={norm}", f"outputs={tmp_path}")) for norm in ("none", "ewn")]
    content = report.contents(runs)
    content["series"].append(content["series"][0])
    assert len(report.render(content).encode()) < 6e6 and sum(len(one["seeds"]) for one in content["series"]) == 48


def test_the_command_writes_it_where_it_is_told_to(inside, folder, tmp_path):
    code, out, err = inside("report", folder, "--where", "norm=ewn", "--to", "x/r.html")
    assert code == 0 and out == "x/r.html\n" and (tmp_path / "x/r.html").exists(), err
    assert inside("report", folder / "ewn")[0] == 0 and (folder / "ewn/report.html").exists()
    (tmp_path / "d").mkdir()
    code, _, err = inside("report", folder, "--to", "d")
    assert code == 1 and "d: a folder; the name of a file is needed" in err
    (tmp_path / "empty").mkdir()
    assert inside("report", "empty")[0] == 1


def test_watching_writes_again_until_no_run_goes_on(folder, tmp_path):
    """Runs are held by a lock of another process's kind: of this one, which is alive."""
    from wnexp.runs import lock

    copy = shutil.copytree(folder / "ewn", tmp_path / "run")
    stored = status.read(copy)
    told = []

    def tell(file, going_on):
        told.append(going_on)
        assert ('data-refresh="5000"' in file.read_text("utf-8")) == bool(going_on)

    with lock.hold(copy):
        stored.status = "running"
        status.write(copy, stored)
        watching = threading.Thread(target=report.watch, args=([copy], "", tmp_path / "r.html", 0.05, tell))
        watching.start()
        for steps in (5, 6):
            while len(told) < steps - 4:
                time.sleep(0.02)
            stored.steps = steps
            status.write(copy, stored)
        while len(told) < 3:
            time.sleep(0.02)
        stored.status = "finished"
        status.write(copy, stored)
    watching.join(timeout=30)
    assert not watching.is_alive() and told[-1] == 0 and set(told[:-1]) == {1}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    pytest.importorskip("selenium")
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no Chromium here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = "disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
    for word in (
        "headless",
        *quiet.split(),
        "window-size=1200,900",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{word}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield window
    window.quit()


@pytest.fixture
def opened(browser, page):
    """The page, freshly opened; at the end it must have said nothing on the console."""
    browser.get(page.as_uri())
    browser.execute_script("sessionStorage.clear()")
    began = time.monotonic()
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready") == "yes")
    browser.took = time.monotonic() - began
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def points(browser, plot):
    traces = f"document.getElementById('{plot}').data"
    return browser.execute_script(f"return {traces}.map((one) => [one.name, Array.from(one.x), Array.from(one.y)])")


def cells(browser, column):
    script = (
        f"return [...document.querySelectorAll('#table tbody tr')].map((row) => row.children[{column}].textContent)"
    )
    return browser.execute_script(script)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_slider_moves_points(opened):
    before = points(opened, "gradients-plot")
    assert [name for name, *_ in before] == ["norm=none", "norm=swn", "norm=ewn"]
    move = "const level = document.getElementById('level'); level.value = 3; level.dispatchEvent(new Event('input'))"
    opened.execute_script(move)
    after = points(opened, "gradients-plot")
    assert all(one[1] != other[1] and one[2] != other[2] for one, other in zip(before, after, strict=True))
    opened.refresh()
    until(lambda: opened.execute_script("return document.documentElement.dataset.ready") == "yes")
    assert points(opened, "gradients-plot") == after, "what was chosen survives a reload"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_sorting_sorts_and_the_filter_filters(opened):
    from selenium.webdriver.common.by import By

    heads = opened.find_elements(By.CSS_SELECTOR, "#table th button")
    place = [head.text for head in heads].index("step")
    heads[place].send_keys("\n")  # by the keyboard
    rising = [float(cell) for cell in cells(opened, place)]
    heads[place].click()
    falling = [float(cell) for cell in cells(opened, place)]
    assert rising == sorted(rising) != falling == sorted(falling, reverse=True)
    opened.find_element(By.ID, "filter").send_keys("norm=ewn")
    assert len(cells(opened, 0)) == 1 and opened.find_element(By.ID, "count").text == "1 of 3"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_curves_are_means_and_bands_or_every_seed(opened, folder):
    from selenium.webdriver.support.select import Select

    def choose(name, value):
        Select(opened.find_element("id", name)).select_by_value(value)

    choose("quantity", "weight_norm")
    choose("against", "step")
    bands = points(opened, "curves-plot")
    assert [name for name, *_ in bands] == [f"norm={norm}" for norm in ("none", "none", "swn", "swn", "ewn", "ewn")]
    steps = Run(folder / "ewn").frame("steps").sort_values("step").groupby("seed")["weight_norm"].last()
    assert bands[-1][2][-1] == pytest.approx(steps.mean(), rel=1e-4), "finished seeds keep their last value"
    choose("seeds", "each")
    assert len(points(opened, "curves-plot")) == 7
    choose("colour", "norm")
    opened.find_element("id", "log-y").click()
    axis = "return document.getElementById('curves-plot').layout.yaxis.type"
    assert opened.execute_script(axis) == "log"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_opens_soon_fits_a_phone_and_a_dark_mode(opened, tmp_path):
    assert opened.took < 10, "2 s on an idle machine"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    time.sleep(0.5)
    background = "return document.getElementById('curves-plot').layout.paper_bgcolor"
    assert opened.execute_script(background) == "#16181b"
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    names = opened.execute_script(
        "return [...document.querySelectorAll('input, select')].map((it) => it.labels.length)"
    )
    assert names and all(names), "every control has a label"
    assert opened.save_screenshot(str(tmp_path / "phone.png"))
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
