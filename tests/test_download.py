import gzip
import hashlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import need

from lenet.data.published import catalog
from lenet.data.published.catalog import Archive, DataFile, Entry
from lenet.data.published.download import fetch
from lenet.data.published.limits import Limits
from lenet.errors import DataError, DownloadError

PAYLOAD = bytes(range(256)) * 2000
GOOD = gzip.compress(PAYLOAD)
FILE = DataFile("images", len(PAYLOAD), hashlib.sha256(PAYLOAD).hexdigest())
# As long as a busy machine may need; what is slow on purpose has a bound of its own.
QUICK = Limits(connect=60, read=60, overall=60, slowest=1e9, rounds=2, pause=0.01)
IMPATIENT = replace(QUICK, overall=3)


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

    def drip_headers(self):
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for index in range(400):
                self.wfile.write(b"X-Header-%d: 1\r\n" % index)
                time.sleep(0.02)
        except OSError:
            self.close_connection = True

    def moved(self):
        self.send(b"", 302, Location="/good/images.gz")

    def downgrade(self):
        self.send(b"", 302, Location=self.elsewhere)

    def in_circles(self):
        self.send(b"", 302, Location="/in_circles/images.gz")

    def to_http(self):
        self.send(b"", 302, Location="http://mirror.example/images.gz")

    def archive(self):
        self.send(self.zip_content)


@pytest.fixture
def mirror(no_proxy):
    """The address of a real HTTP server on loopback."""
    Mirror.asked = {}
    with serving(Mirror) as port:
        yield f"http://127.0.0.1:{port}"


def entry_of(mirror, *behaviours, file=FILE):
    mirrors = tuple(f"{mirror}/{behaviour}/" for behaviour in behaviours)
    return Entry("small", "a title", "", "", ("a",), (file,), mirrors)


def limits_for(behaviour):
    return IMPATIENT if behaviour.startswith("drip") else QUICK


def files_in(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


BAD = [
    ("missing", "it answered 404 Not Found"),
    ("busy", "it answered 503 Service Unavailable"),
    ("html", "it sent a web page instead of the file: .*<html>Please log in"),
    ("truncated", "is not the gzip file it should be"),
    ("killed", "peer closed connection|it sent .* bytes of"),
    ("another", "its SHA-256 is .*; published is"),
    ("bomb", "it unpacks to more than the 512000 bytes expected"),
    ("endless", "it sent more than the 1560576 bytes"),
    ("drip", "too slow: not whole after 3 s"),
    ("drip_headers", "too slow: not whole after 3 s"),
    ("in_circles", "Exceeded maximum allowed redirects"),
    ("to_http", "http://mirror.example/images.gz is not https: refused"),
]


@pytest.mark.parametrize(("behaviour", "reason"), BAD)
def test_a_bad_mirror_is_a_clear_error_and_leaves_no_file(tmp_path, mirror, behaviour, reason):
    with pytest.raises(DownloadError, match=rf"(?s)no mirror delivered images.gz:.*({reason})"):
        fetch(entry_of(mirror, behaviour), tmp_path, limits=limits_for(behaviour))
    assert files_in(tmp_path) == set()


@pytest.mark.thorough
@pytest.mark.parametrize("behaviour", [name for name, _ in BAD])
def test_after_any_failure_the_next_mirror_is_asked(tmp_path, mirror, behaviour):
    slow = behaviour.startswith("drip")
    said = (
        pytest.warns(UserWarning, match="too slow: .*; trying the next") if slow else nullcontext()
    )
    with said:
        fetch(entry_of(mirror, behaviour, "good"), tmp_path, limits=limits_for(behaviour))
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert files_in(tmp_path) == {"images"}
    assert Mirror.asked["good"] == 1


def test_a_mirror_that_drips_is_asked_once_and_all_of_them_have_one_bound(tmp_path, mirror):
    with pytest.raises(DownloadError, match="too slow"):
        fetch(entry_of(mirror, "drip"), tmp_path, limits=IMPATIENT)
    assert Mirror.asked["drip"] == 1
    with pytest.raises(DownloadError, match="no mirror delivered"):
        fetch(entry_of(mirror, "good"), tmp_path, limits=replace(QUICK, whole=-1e9))
    assert Mirror.asked.get("good", 0) == 0


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
    file = DataFile("images", len(PAYLOAD), container="md5:" + "0" * 32)
    with pytest.raises(DownloadError, match=f"its MD5 is {hashlib.md5(GOOD).hexdigest()}"):
        fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    file = replace(file, container=f"md5:{hashlib.md5(GOOD).hexdigest()}")
    fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_a_payload_without_a_published_digest_is_compared_with_its_download(tmp_path, mirror):
    container = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
    file = DataFile("images", len(PAYLOAD), container=container)
    fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    assert Mirror.asked["good"] == 1
    (tmp_path / "images").write_bytes(PAYLOAD[::-1])
    fetch(entry_of(mirror, "good", file=file), tmp_path, limits=QUICK)
    assert Mirror.asked["good"] == 2
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_progress_is_told_with_the_size(tmp_path, mirror):
    calls = []
    fetch(entry_of(mirror, "good"), tmp_path, lambda *call: calls.append(call), QUICK)
    assert calls[-1] == ("images.gz", len(GOOD), len(GOOD))


def test_a_folder_that_cannot_be_written_is_named(tmp_path, mirror):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"file/data: cannot write data here: .*name another folder with"
    ):
        fetch(entry_of(mirror, "good"), tmp_path / "file" / "data", limits=QUICK)


def test_files_in_an_archive_are_taken_out_and_the_archive_is_kept(tmp_path, mirror):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as made:
        made.writestr("gzip/images.gz", GOOD)
    Mirror.zip_content = (tmp_path / "made.zip").read_bytes()
    md5 = hashlib.md5(Mirror.zip_content).hexdigest()
    entry = replace(
        entry_of(mirror, "archive"), archive=Archive("gzip.zip", "gzip", 10_000_000, f"md5:{md5}")
    )
    fetch(entry, tmp_path / "emnist-a", limits=QUICK)
    fetch(entry, tmp_path / "emnist-b", limits=QUICK)
    assert (tmp_path / "emnist-b" / "images").read_bytes() == PAYLOAD
    assert Mirror.asked["archive"] == 1
    (tmp_path / "emnist" / "gzip.zip").write_bytes(b"PK damaged")
    fetch(entry, tmp_path / "emnist-c", limits=QUICK)
    assert (tmp_path / "emnist-c" / "images").read_bytes() == PAYLOAD


FETCH = """
import sys
from pathlib import Path
from lenet.data.published.catalog import DataFile, Entry
from lenet.data.published.download import fetch
from lenet.data.published.limits import Limits
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
    while not list(tmp_path.glob("*.partial")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "images").exists()
    assert files_in(tmp_path) == {".images.gz.partial"}
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert files_in(tmp_path) == {"images"}


def test_force_fetches_again_and_a_failure_takes_nothing_away(tmp_path, mirror):
    for _ in range(2):
        fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK, force=True)
    assert Mirror.asked["good"] == 2
    with pytest.raises(DownloadError, match="no mirror delivered"):
        fetch(entry_of(mirror, "missing"), tmp_path, limits=QUICK, force=True)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


class Proxy(BaseHTTPRequestHandler):
    """A forward proxy: it fetches plain URLs itself, and tunnels to where it is asked to."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        Proxy.asked.append(self.path)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.path) as answer:
            content = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self):
        Proxy.asked.append(self.path)
        if self.path.startswith("mirror.example"):
            self.send_error(403, "this proxy does not connect there")
            return
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=copy_bytes, args=(there, self.connection))
            back.start()
            copy_bytes(self.connection, there)
            back.join()
        self.close_connection = True


def copy_bytes(source, target):
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # One side has gone, and the other will notice.


@contextmanager
def serving(handler, context=None):
    """A real server on loopback, over TLS with a `context`; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def no_proxy(monkeypatch):
    """An environment without proxies."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def proxy(no_proxy, monkeypatch):
    """A real proxy on loopback that the environment names."""
    Proxy.asked = []
    with serving(Proxy) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        yield


@pytest.fixture
def https_mirror(tmp_path_factory, monkeypatch, no_proxy):
    """The address of a real HTTPS server on loopback, with a certificate that is trusted."""
    need(shutil.which("openssl"), "install openssl: apt install openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    Mirror.asked = {}
    with serving(Mirror, context) as port:
        yield f"https://127.0.0.1:{port}"


def test_a_file_comes_over_https(tmp_path, https_mirror):
    fetch(entry_of(https_mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path, https_mirror, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(DownloadError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(entry_of(https_mirror, "good"), tmp_path, limits=QUICK)


def test_a_redirect_from_https_to_loopback_without_tls_is_refused(tmp_path, https_mirror, mirror):
    Mirror.elsewhere = f"{mirror}/good/images.gz"
    with pytest.raises(DownloadError, match=rf"{mirror}/good/images.gz is not https: refused"):
        fetch(entry_of(https_mirror, "downgrade"), tmp_path, limits=QUICK)
    assert "good" not in Mirror.asked


def test_a_slow_drip_over_tls_is_cut_too(tmp_path, https_mirror):
    with pytest.raises(DownloadError, match="too slow: not whole after 3 s"):
        fetch(entry_of(https_mirror, "drip_headers"), tmp_path, limits=IMPATIENT)


def test_the_proxy_of_the_environment_is_asked_for_plain_urls(tmp_path, proxy, mirror):
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert Proxy.asked == [f"{mirror}/good/images.gz"]


def test_the_proxy_of_the_environment_tunnels_https(tmp_path, https_mirror, proxy):
    fetch(entry_of(https_mirror, "good"), tmp_path, limits=QUICK)
    assert (tmp_path / "images").read_bytes() == PAYLOAD
    assert Proxy.asked == [https_mirror.removeprefix("https://")]


def test_a_proxy_that_refuses_is_quoted(tmp_path, proxy):
    entry = replace(entry_of("", "x"), mirrors=("https://mirror.example/",))
    with pytest.raises(DownloadError, match="403 this proxy does not connect there"):
        fetch(entry, tmp_path, limits=QUICK)
    assert Proxy.asked == ["mirror.example:443"] * 2


def test_no_proxy_is_honoured(tmp_path, proxy, mirror, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)
    assert Proxy.asked == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "gopher://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nonexistent/certificates.pem"),
    ],
)
def test_an_environment_that_cannot_be_used_is_named(
    tmp_path, mirror, no_proxy, monkeypatch, variable, value
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(DownloadError, match="proxy or certificates that the environment names"):
        fetch(entry_of(mirror, "good"), tmp_path, limits=QUICK)


def test_a_proxy_named_with_https_gets_the_likely_cure(tmp_path, mirror, no_proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "https://127.0.0.1:7890")
    with pytest.raises(DownloadError, match=r"spoken to without TLS: try http://127.0.0.1:7890"):
        fetch(entry_of(mirror, "missing"), tmp_path, limits=QUICK)


def test_an_unknown_set_of_the_catalog_is_never_fetched():
    assert "small" not in catalog.CATALOG
