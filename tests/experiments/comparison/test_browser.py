"""The page of a comparison as a browser shows it: drawn, sorted, on a phone, in the dark, without a network."""

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
    """An open report, and what a browser can say of it."""

    def __init__(self, driver, path: Path):
        self.driver = driver
        self.path = path

    def open(self, width_px: int = 1280, scheme: str = 'light') -> None:
        """Load it, on a phone where it is narrow."""
        screen = dict(width=width_px, height=900, deviceScaleFactor=1, mobile=width_px < 500)
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', screen)
        self.prefer(scheme)
        self.driver.get(self.path.as_uri())

    def prefer(self, scheme: str) -> None:
        """Say that the system is light or dark."""
        features = [{'name': 'prefers-color-scheme', 'value': scheme}]
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})

    def ask(self, script: str):
        """Return what a JavaScript expression gives, after the frame that is being drawn."""
        return self.driver.execute_async_script(
            f'const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done({script})))'
        )

    def picture(self, selector: str) -> np.ndarray:
        """Return the BGR pixels of an element."""
        box = self.ask(
            f'(({{x, y, width, height}}) => ({{x: x + scrollX, y: y + scrollY, width, height}}))'
            f'(document.querySelector("{selector}").getBoundingClientRect())'
        )
        options = dict(format='png', captureBeyondViewport=True, clip=box | {'scale': 1})
        png = self.driver.execute_cdp_cmd('Page.captureScreenshot', options)['data']
        return cv2.imdecode(np.frombuffer(base64.b64decode(png), np.uint8), cv2.IMREAD_COLOR)

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        messages = [json.loads(entry['message'])['message'] for entry in self.driver.get_log('performance')]
        sent = [message for message in messages if message['method'] == 'Network.requestWillBeSent']
        return [message['params']['request']['url'] for message in sent]

    def errors(self) -> list[str]:
        """Return what the console complains of."""
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


def test_charts_are_drawn_without_a_network_or_an_error(page):
    page.requests()
    page.open()
    boxes = page.ask(
        '[...document.querySelectorAll(".js-plotly-plot .svg-container > .main-svg:first-child")]'
        '.map(svg => svg.getBoundingClientRect()).map(box => [box.width, box.height])'
    )
    assert len(boxes) == CHARTS and np.min(boxes) > 200
    assert page.errors() == []
    asked = [address for address in page.requests() if not address.startswith(('data:', 'blob:'))]
    assert asked == [page.path.as_uri()]
    for key in page.ask('[...document.querySelectorAll(".plot")].map(plot => plot.id)'):
        pixels = page.picture(f'#{key}').reshape(-1, 3)
        colourful = np.ptp(pixels.astype(int), axis=1) > 60
        assert 200 < colourful.sum() < len(pixels), key


def test_names_stand_in_the_charts_letter_by_letter(page):
    page.open()
    texts = page.ask('[...document.querySelectorAll("#class_accuracies .ytick text")].map(text => text.textContent)')
    assert set(texts) == set(CLASSES)
    assert page.ask('document.querySelectorAll("img[src=x]").length') == 0


def test_another_network_can_be_chosen(page):
    page.open()
    before = page.picture('#class_differences')
    page.ask(
        '(select => { select.value = 2; select.dispatchEvent(new Event("change")); })'
        '(document.querySelector("select[data-chart=class_differences]"))'
    )
    assert (page.picture('#class_differences') != before).any()


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(page):
    page.open()
    rows = 'document.querySelector(".sortable").tBodies[0].rows'
    index = page.ask(
        '[...document.querySelector(".sortable").tHead.rows[0].cells]'
        '.findIndex(cell => cell.innerText.startsWith("parameters"))'
    )
    heading = f'document.querySelector(".sortable").tHead.rows[0].cells[{index}]'
    orders = []
    for order in ('ascending', 'descending'):
        page.ask(f'{heading}.querySelector("button").click()')
        assert page.ask(f'{heading}.getAttribute("aria-sort")') == order
        orders.append(page.ask(f'[...{rows}].map(row => Number(row.cells[{index}].dataset.value))'))
    assert orders[0] == sorted(orders[0]) == orders[1][::-1] and len(set(orders[0])) == 5
    assert page.ask('document.querySelector(".sortable").querySelectorAll("[aria-sort]").length') == 1


def test_phone_scrolls_tables_and_not_the_page(page):
    page.open(width_px=390)
    assert page.ask('document.documentElement.scrollWidth') == 390
    assert page.ask('document.querySelector(".sortable").getBoundingClientRect().width') > 390
    widths = page.ask('[...document.querySelectorAll(".chart > .box")].map(box => box.getBoundingClientRect().width)')
    assert len(widths) == CHARTS and max(widths) <= 390 and min(widths) > 300
    assert page.errors() == []


def test_dark_page_has_dark_charts_without_being_loaded_again(page):
    page.open()
    light = [page.picture(part).mean() for part in ('h1', '#accuracy_against_price', '#confusion_matrices')]
    page.prefer('dark')
    dark = [page.picture(part).mean() for part in ('h1', '#accuracy_against_price', '#confusion_matrices')]
    assert min(light) > 170 and max(dark) < 80
    assert page.errors() == []
