"""Report of a comparison in a browser: charts, sorting, phone layout, dark theme, no Internet."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tvn_mmaction.experiments.comparison.html_report import write_report

from .synthetic import networks

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
DRIVER = shutil.which('chromedriver')
CHARTS = 6
NAMES = ['tvn1_ucf50', 'tsm_r50', 'c3d', 'i3d_r50_nonlocal', 'slowfast_k400', 'x3d_s_k400', 'tvn4_ucf50']
CLASSES = ['Biking', 'Diving', 'Straße', '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', 'A & B']

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason='no chromium and chromedriver: apt-get install chromium chromium-driver'
)


class Page:
    """An open report in a browser."""

    def __init__(self, driver, path: Path):
        self.driver = driver
        self.path = path

    def open(self, width_px: int = 1280, scheme: str = 'light') -> None:
        """Load the page, on a phone if the width is below 500 px."""
        screen = dict(width=width_px, height=900, deviceScaleFactor=1, mobile=width_px < 500)
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', screen)
        self.set_scheme(scheme)
        self.driver.get(self.path.as_uri())

    def set_scheme(self, scheme: str) -> None:
        """Set the colour scheme of the system."""
        features = [{'name': 'prefers-color-scheme', 'value': scheme}]
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})

    def evaluate(self, script: str):
        """Return the value of a JavaScript expression after the current frame."""
        return self.driver.execute_async_script(
            f'const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done({script})))'
        )

    def screenshot(self, selector: str) -> np.ndarray:
        """Return the BGR pixels of an element."""
        box = self.evaluate(
            f'(({{x, y, width, height}}) => ({{x: x + scrollX, y: y + scrollY, width, height}}))'
            f'(document.querySelector("{selector}").getBoundingClientRect())'
        )
        options = dict(format='png', captureBeyondViewport=True, clip=box | {'scale': 1})
        png = self.driver.execute_cdp_cmd('Page.captureScreenshot', options)['data']
        return cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)

    def requests(self) -> list[str]:
        """Return the URLs requested since the last call."""
        messages = [json.loads(entry['message'])['message'] for entry in self.driver.get_log('performance')]
        sent = [message for message in messages if message['method'] == 'Network.requestWillBeSent']
        return [message['params']['request']['url'] for message in sent]

    def errors(self) -> list[str]:
        """Return the errors of the console."""
        return [entry['message'] for entry in self.driver.get_log('browser')]


@pytest.fixture(scope='module')
def page(tmp_path_factory) -> Iterator[Page]:
    webdriver = pytest.importorskip('selenium.webdriver')
    comparison = networks(NAMES, CLASSES)
    frames = {clip: np.full((90, 160, 3), 128, np.uint8) for clip in comparison.disputed_clips}
    path, *_ = write_report(comparison, frames, tmp_path_factory.mktemp('report'))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--hide-scrollbars'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Page(driver, path)
    finally:
        driver.quit()


def test_charts_are_drawn_offline_and_without_errors(page):
    page.requests()
    page.open()
    boxes = page.evaluate(
        '[...document.querySelectorAll(".js-plotly-plot .svg-container > .main-svg:first-child")]'
        '.map(svg => svg.getBoundingClientRect()).map(box => [box.width, box.height])'
    )
    assert len(boxes) == CHARTS and np.min(boxes) > 200
    assert page.errors() == []
    requested = [address for address in page.requests() if not address.startswith(('data:', 'blob:'))]
    assert requested == [page.path.as_uri()]
    for key in page.evaluate('[...document.querySelectorAll(".plot")].map(plot => plot.id)'):
        pixels = page.screenshot(f'#{key}').reshape(-1, 3)
        colourful = np.ptp(pixels.astype(int), axis=1) > 60
        assert 200 < colourful.sum() < len(pixels), key


def test_names_in_charts_are_escaped(page):
    page.open()
    texts = page.evaluate(
        '[...document.querySelectorAll("#class_accuracies .ytick text")].map(text => text.textContent)'
    )
    assert set(texts) == set(CLASSES)
    assert page.evaluate('document.querySelectorAll("img[src=x]").length') == 0


def test_select_changes_the_network_of_a_chart(page):
    page.open()
    before = page.screenshot('#class_differences')
    page.evaluate(
        '(select => { select.value = 2; select.dispatchEvent(new Event("change")); })'
        '(document.querySelector("select[data-chart=class_differences]"))'
    )
    assert (page.screenshot('#class_differences') != before).any()


def test_click_on_a_heading_sorts_and_a_second_one_reverses(page):
    page.open()
    rows = 'document.querySelector(".sortable").tBodies[0].rows'
    index = page.evaluate(
        '[...document.querySelector(".sortable").tHead.rows[0].cells]'
        '.findIndex(cell => cell.innerText.startsWith("parameters"))'
    )
    heading = f'document.querySelector(".sortable").tHead.rows[0].cells[{index}]'
    orders = []
    for order in ('ascending', 'descending'):
        page.evaluate(f'{heading}.querySelector("button").click()')
        assert page.evaluate(f'{heading}.getAttribute("aria-sort")') == order
        orders.append(page.evaluate(f'[...{rows}].map(row => Number(row.cells[{index}].dataset.value))'))
    assert orders[0] == sorted(orders[0]) == orders[1][::-1] and len(set(orders[0])) == 5
    assert page.evaluate('document.querySelector(".sortable").querySelectorAll("[aria-sort]").length') == 1


def test_phone_scrolls_tables_and_not_the_page(page):
    page.open(width_px=390)
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert page.evaluate('document.querySelector(".sortable").getBoundingClientRect().width') > 390
    widths = page.evaluate(
        '[...document.querySelectorAll(".chart > .box")].map(box => box.getBoundingClientRect().width)'
    )
    assert len(widths) == CHARTS and max(widths) <= 390 and min(widths) > 300
    assert page.errors() == []


def test_charts_follow_a_change_of_the_colour_scheme(page):
    page.open()
    light = [page.screenshot(part).mean() for part in ('h1', '#accuracy_against_cost', '#confusion_matrices')]
    page.set_scheme('dark')
    dark = [page.screenshot(part).mean() for part in ('h1', '#accuracy_against_cost', '#confusion_matrices')]
    assert min(light) > 170 and max(dark) < 80
    assert page.errors() == []
