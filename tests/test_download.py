import gzip
import hashlib
import socket
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lenet.data import catalog
from lenet.data.catalog import Archive, DataFile, Entry
from lenet.data.download import Limits, fetch
from lenet.errors import DataError, DownloadError

PAYLOAD = bytes(range(256)) * 2000
GOOD = gzip.compress(PAYLOAD)
FILE = DataFile("images", len(PAYLOAD), hashlib.sha256(PAYLOAD).hexdigest())
QUICK = Limits(connect=2, read=2, overall=1, rounds=2, pause=0.01)


class Mirror(BaseHTTPRequestHandler):
    """Serves /<behaviour>/images.gz; the counts of requests are in `asked`."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        behaviour = self.path.split("/")[1]
        self.asked[behaviour] = self.asked.get(behaviour, 0) + 1
        getattr(self, behaviour)()

    def send(self, content, status=200, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def good(self):
        self.send(GOOD)

    def missing(self):
        self.send(b"not here", 404)

    def busy(self):
        self.send(b"later", 503)

    def once_busy(self):
        self.busy() if self.asked["once_busy"] == 1 else self.good()

    def html(self):
        self.send(b"<html>Please log in to the hotel's network</html>")

    def truncated(self):
        self.send(GOOD[:-100])

    def killed(self):
        self.send(GOOD[: len(GOOD) // 2], length=len(GOOD))
        self.connection.shutdown(socket.SHUT_RDWR)

    def another(self):
        self.send(gzip.compress(PAYLOAD[::-1]))

    def bomb(self):
        self.send(gzip.compress(bytes(50_000_000)))

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(10_000):
                self.wfile.write(bytes(65536))
        except OSError:
            self.close_connection = True

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD)))
        self.end_headers()
        try:
            for byte in GOOD[:400]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def moved(self):
        self.send(b"", 302, Location="/good/images.gz")

    def in_circles(self):
        self.send(b"", 302, Location="/in_circles/images.gz")

    def to_http(self):
        self.send(b"", 302, Location="http://mirror.example/images.gz")

    def archive(self):
        self.send(self.zip_content)


@pytest.fixture
def mirror():
    """The address of a real HTTP server on loopback."""
    Mirror.asked = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def entry_of(mirror, *behaviours, file=FILE):
    mirrors = tuple(f"{mirror}/{behaviour}/" for behaviour in behaviours)
    return Entry("small", "a title", "", "", ("a",), (file,), mirrors)


def files_in(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


BAD = [
    ("missing", "it answered 404 Not Found"),
    ("busy", "it answered 503 Service Unavailable"),
    ("html", "is expected|unpacks to 49 bytes; expected are 512000"),
    ("truncated", "is not the gzip file it should be"),
    ("killed", "peer closed connection|it sent .* bytes of"),
    ("another", "its SHA-256 is .*; published is"),
    ("bomb", "it unpacks to more than the 512000 bytes expected"),
    ("endless", "it sent more than the 1560576 bytes"),
    ("drip", "too slow: .* bytes when the time was over"),
    ("in_circles", "more than 5 redirects"),
    ("to_http", "http://mirror.example/images.gz is not https: refused"),
]


@pytest.mark.parametrize(("behaviour", "reason"), BAD)
def test_a_bad_mirror_is_a_clear_error_and_leaves_no_file(tmp_path, mirror, behaviour, reason):
    with pytest.raises(DownloadError, match=rf"(?s)no mirror delivered images.gz:.*({reason})"):
        fetch(entry_of(mirror, behaviour), tmp_path, limits=QUICK)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize("behaviour", [name for name, _ in BAD])
def test_after_any_failure_the_next_mirror_is_asked(tmp_path, mirror, behaviour):
    fetch(entry_of(mirror, behaviour, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert files_in(tmp_path) == {"images"}
    assert Mirror.asked["good"] == 1


def test_a_mirror_that_was_busy_is_asked_again(tmp_path, mirror):
    fetch(entry_of(mirror, "once_busy"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert Mirror.asked["once_busy"] == 2


def test_a_redirect_is_followed(tmp_path, mirror):
    fetch(entry_of(mirror, "moved"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_a_machine_that_does_not_answer_is_left_for_the_next(tmp_path, mirror):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        entry = entry_of(mirror, "good")
        fetch(replace(entry, mirrors=(dead, *entry.mirrors)), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_plain_http_is_refused_without_asking(tmp_path):
    entry = replace(entry_of("", "x"), mirrors=("http://mirror.example/",))
    with pytest.raises(DownloadError, match=r"http://mirror.example/images.gz is not https: refus"):
        fetch(entry, tmp_path, limits=QUICK)


def test_the_error_names_every_mirror_and_the_cures(tmp_path, mirror):
    entry = replace(entry_of(mirror, "missing", "busy"), name="fashion-mnist")
    with pytest.raises(
        DownloadError, match=r"(?s)/missing/: it answered 404.*/busy/: it answered 503"
    ):
        fetch(entry, tmp_path, limits=QUICK)
    with pytest.raises(DownloadError, match=r"(?s)apt install dataset-fashion-mnist.*HTTPS_PROXY"):
        fetch(entry, tmp_path, limits=QUICK)


def test_what_is_there_is_not_fetched_again(tmp_path, mirror):
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert Mirror.asked["good"] == 1


def test_a_damaged_file_is_fetched_again(tmp_path, mirror):
    (tmp_path / "images").write_bytes(PAYLOAD[::-1])
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_a_container_with_another_md5_is_refused(tmp_path, mirror):
    file = DataFile("images", len(PAYLOAD), md5="0" * 32)
    with pytest.raises(DownloadError, match=f"its MD5 is {hashlib.md5(GOOD).hexdigest()}"):
        fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    fetch(
        entry_of(mirror, "good", file=replace(file, md5=hashlib.md5(GOOD).hexdigest())),
        tmp_path,
        limits=QUICK,
    )
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_progress_is_told_with_the_size(tmp_path, mirror):
    calls = []
    fetch(entry_of(mirror, "good"), tmp_path, lambda *call: calls.append(call), QUICK)
    assert calls[-1] == ("images", len(GOOD), len(GOOD))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, mirror):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/data: cannot write data here: .*name a --data-dir"):
        fetch(entry_of(mirror, "good"), tmp_path / "file" / "data", limits=QUICK)


def test_files_in_an_archive_are_taken_out_and_the_archive_is_kept(tmp_path, mirror):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as made:
        made.writestr("gzip/images.gz", GOOD)
    Mirror.zip_content = (tmp_path / "made.zip").read_bytes()
    md5 = hashlib.md5(Mirror.zip_content).hexdigest()
    entry = replace(
        entry_of(mirror, "archive"), archive=Archive("gzip.zip", "gzip", 10_000_000, md5)
    )
    fetch(entry, tmp_path / "emnist-a", limits=QUICK)
    fetch(entry, tmp_path / "emnist-b", limits=QUICK)
    assert (tmp_path / "emnist-b" / "images").read_bytes() == PAYLOAD
    assert Mirror.asked["archive"] == 1


FETCH = """
import sys
from pathlib import Path
from lenet.data.catalog import DataFile, Entry
from lenet.data.download import Limits, fetch
mirror, size, digest, folder = sys.argv[1:]
entry = Entry("small", "", "", "", ("a",), (DataFile("images", int(size), digest),), (mirror,))
print("begun", flush=True)
fetch(entry, Path(folder), limits=Limits(overall=20, pause=0.01))
"""


def start_fetch(mirror, behaviour, folder):
    words = [f"{mirror}/{behaviour}/", str(FILE.size), FILE.sha256, str(folder)]
    return subprocess.Popen([sys.executable, "-c", FETCH, *words], stdout=subprocess.PIPE)


def test_two_processes_at_once_both_succeed(tmp_path, mirror):
    both = [start_fetch(mirror, "good", tmp_path / "data") for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert files_in(tmp_path / "data") == {"images"}
    assert Mirror.asked["good"] == 1


def test_a_killed_download_leaves_no_final_file_and_the_next_one_heals(tmp_path, mirror):
    process = start_fetch(mirror, "drip", tmp_path)
    deadline = time.monotonic() + 30
    while "drip" not in Mirror.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "images").exists()
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy that answers for any machine."""

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        Proxy.asked.append(self.path)
        self.send_error(403, "this proxy connects nowhere")


def test_the_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    Proxy.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
    entry = replace(entry_of("", "x"), mirrors=("https://mirror.example/",))
    with pytest.raises(DownloadError, match="403 this proxy connects nowhere"):
        fetch(entry, tmp_path, limits=QUICK)
    server.shutdown()
    server.server_close()
    thread.join()
    assert Proxy.asked == ["mirror.example:443"] * 2


def test_an_unknown_set_of_the_catalog_is_never_fetched():
    assert "small" not in catalog.CATALOG
